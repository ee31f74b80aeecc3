"""A store by its URL."""

import pytest

from iop_async.stores import MemoryStore, SQLiteStore, from_url


def test_a_file_by_its_url(tmp_path, monkeypatch):
    """Three slashes for a relative path, four for an absolute one; percent signs as in any URL."""
    monkeypatch.chdir(tmp_path)
    for url, path in {
        "sqlite:///tokens.db": tmp_path / "tokens.db",
        "sqlite:///data/tokens.db": tmp_path / "data" / "tokens.db",
        "SQLite:////var/lib/tokens.db": "/var/lib/tokens.db",
        "sqlite:///a%20b%3F%23%25.db": tmp_path / "a b?#%.db",
        "sqlite:///店.db": tmp_path / "店.db",
    }.items():
        store = from_url(url)
        assert isinstance(store, SQLiteStore)
        assert str(store.path) == str(path)
    assert not list(tmp_path.iterdir())


def test_memory_by_its_url():
    """It names nothing, so every call makes another."""
    assert isinstance(from_url("memory://"), MemoryStore)
    assert from_url("memory://") is not from_url("memory://")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mongodb://user:hunter2@host/tokens", "begins with mongodb://; the known ones are"),
        ("tokens.db", "has no scheme; the known ones are memory://, sqlite://"),
        ("", "has no scheme"),
        ("sqlite:tokens.db", "has no scheme"),
        ("sqlite://tokens.db", "takes no host: write sqlite:///tokens.db"),
        ("sqlite://user:hunter2@host/tokens.db", "takes no host"),
        ("sqlite://", "needs a file"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///tokens.db?password=hunter2", "takes no options"),
        ("sqlite:///tokens.db#hunter2", "takes no options"),
        ("memory://hunter2", "names nothing"),
        ("memory:///hunter2", "names nothing"),
        (
            "sqlite://hunter2\N{KELVIN SIGN}\N{DOUBLE-STRUCK ITALIC CAPITAL D}:\uff1a/a",
            "cannot be read",
        ),
        ("sqlite://[hunter2/tokens.db", "cannot be read"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url, words):
    """With what would; without what it says, for that may be a password."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        from_url(url)
    assert words in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
