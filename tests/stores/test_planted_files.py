"""Files that others prepared where a store or journal is to be are not used, and stay."""

import asyncio
import os

import pytest
from store_helpers import record

from iop_async import StoreError
from iop_async.stores import SpillJournal, SQLAlchemyStore, SQLiteStore

ANOTHER = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


async def use_file(path):
    async with SQLiteStore(path) as store:
        await store.put(record())


async def use_tables(path):
    store = SQLAlchemyStore(f"sqlite+aiosqlite:///{path}")
    try:
        await store.create_tables()
        await store.put(record())
    finally:
        await store.aclose()


async def use_journal(path):
    journal = SpillJournal(path)
    await journal.check()
    await journal.append(record())


KINDS = {"file": use_file, "tables": use_tables, "journal": use_journal}


def owned_by_another(path, _):
    os.chown(path, ANOTHER, ANOTHER)


def open_to_all(path, _):
    path.chmod(0o666)


def linked_by_another(path, elsewhere):
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    os.lchown(path, ANOTHER, ANOTHER)


def linked_twice(path, elsewhere):
    os.link(path, elsewhere)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("plant", "words"),
    [
        pytest.param(owned_by_another, "belongs to another user", marks=AS_ROOT),
        pytest.param(linked_by_another, "belongs to another user", marks=AS_ROOT),
        (open_to_all, "every user of this machine may write to it"),
    ],
)
def test_what_others_prepared_is_not_used(tmp_path, kind, plant, words):
    """They could read tokens there, or put others in their place."""
    path, elsewhere = tmp_path / "tokens", tmp_path / "elsewhere"
    asyncio.run(KINDS[kind](path))
    plant(path, elsewhere)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=words) as caught:
        asyncio.run(KINDS[kind](path))
    assert not caught.value.retryable
    assert path.read_bytes() == before


def test_a_journal_with_a_second_name_is_not_written(tmp_path):
    """It may be any file of this user, to which lines would be added."""
    path = tmp_path / "tokens"
    path.write_text("alias rm=ls\n")
    linked_twice(path, tmp_path / ".profile")
    with pytest.raises(StoreError, match="has a second name"):
        asyncio.run(use_journal(path))
    assert path.read_text() == "alias rm=ls\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_of_ones_own_is_followed(tmp_path, kind):
    """To a volume, say."""
    path = tmp_path / "tokens"
    asyncio.run(KINDS[kind](tmp_path / "elsewhere"))
    path.symlink_to(tmp_path / "elsewhere")
    asyncio.run(KINDS[kind](path))
    assert path.is_symlink()
