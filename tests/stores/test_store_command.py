"""``iop-async store``, on every store that has a URL."""

import json
from types import SimpleNamespace

import pytest
from store_helpers import SCOPE, filled, rows, run

from iop_async.cli._commands import commands
from iop_async.stores import SQLAlchemyStore

KEY = "u6DDo2Onw43xegpIKPtviUnrNrE3fpthjr8v/qAEegk="
PASSWORD = "50000601c30canary3mSoB7701"


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs the command; its exit status, and what it wrote."""
    monkeypatch.delenv("IOP_STORE", raising=False)

    def invoke(*arguments, **env):
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                commands(["store", *arguments], prog_name="iop-async")
        written = capsys.readouterr()
        assert PASSWORD not in written.out + written.err
        return SimpleNamespace(status=ended.value.code, out=written.out, err=written.err)

    return invoke


def test_tables_are_missing_until_they_are_made(command, without_tables):
    """And the words of the first name the command that makes them."""
    prefix = without_tables.prefix
    mark = "&" if "?" in without_tables.url else "?"
    url = f"{without_tables.url}{mark}table_prefix={prefix}"
    missing = command("check", IOP_STORE=url)
    assert missing.status == 1
    assert "iop-async store init" in missing.err
    for _ in range(2):
        assert command("init", IOP_STORE=url).status == 0
    report = json.loads(command("check", IOP_STORE=url).out)
    assert set(report) == {"store", "server", "clock_offset", "pooler", "warnings"}


def test_a_file_is_made_and_looked_at(command, tmp_path):
    """No record is needed for that."""
    url = f"sqlite:///{tmp_path}/tokens.db"
    assert command("init", "--url", url).status == 0
    report = json.loads(command("check", "--url", url).out)
    assert (report["store"], report["warnings"]) == (f"{tmp_path}/tokens.db", [])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/db", "none could be made"),
        (f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/db?poolsize=3", "perhaps pool_size is meant"),
        (f"mongodb://nobody:{PASSWORD}@h/db", "the known ones are memory://"),
        ("", "there is no store: give --store, set IOP_STORE"),
    ],
)
def test_what_is_wrong_is_one_line_without_the_password(command, url, words):
    """And an exit status."""
    done = command("check", **({"IOP_STORE": url} if url else {}))
    assert done.status != 0
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("dialect", ["postgresql", "mariadb", "mysql", "sqlite"])
def test_the_statements_are_those_of_the_store(command, dialect):
    """For a migration."""
    done = command("ddl", dialect, "--table-prefix", "shop_")
    assert done.out == SQLAlchemyStore.ddl(dialect, table_prefix="shop_")


def test_a_file_in_clear_text_is_encrypted_in_place(command, tmp_path):
    """Then every body is sealed, and what is sealed already stays as it is."""
    path = tmp_path / "tokens.db"
    run(lambda: filled(path, body=b"secret"))
    url = f"sqlite:///{path}?encrypt=env:IOP_KEYS"
    env = {"IOP_STORE": url, "IOP_KEYS": f"2026={KEY}"}
    assert "is not encrypted" in command("reencrypt", SCOPE, **env).err
    done = command("reencrypt", "--accept-plain", SCOPE, **env)
    assert done.out == f"{SCOPE}: 3 sealed anew\n"
    assert not [body for (body,) in rows(path, "SELECT body FROM records") if b"secret" in body]
    assert command("reencrypt", SCOPE, **env).out == f"{SCOPE}: 0 sealed anew\n"
    assert command("check", "--scope", SCOPE, **env).status == 0


def test_a_store_without_keys_is_not_reencrypted(command, tmp_path):
    """The words say what its URL needs."""
    done = command("reencrypt", SCOPE, IOP_STORE=f"sqlite:///{tmp_path}/tokens.db")
    assert "its URL takes ?encrypt=env:NAME" in done.err
