"""The journal of unsaved pairs: what was appended is there, whatever happened since."""

import json
import os
import signal
import stat
import subprocess
import time
from datetime import UTC, datetime

import anyio
import pytest
from store_helpers import BACKENDS, SCOPE, anything, child, record, run

from iop_async import StoreError
from iop_async.stores import SpillJournal, _files

NOW = datetime(2026, 1, 1, 2, 3, 4, 567, UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.spill"


@pytest.fixture
def journal(path):
    return SpillJournal(path)


def kept_in(path):
    return run(SpillJournal(path).records)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_record_comes_back_as_it_was_appended(journal, backend):
    """Every field of it, in another process too."""
    records = [
        record("plain", body=b""),
        record("many", "b", "a", due_at=NOW, dies_at=NOW, generation=3, revision=9),
        record("odd\n\N{PILE OF POO}", body=bytes(range(256))),
        record("plain", scope="another"),
    ]

    async def main():
        assert await journal.records() == []
        for one in records:
            await journal.append(one)
        return await journal.records()

    assert run(main, backend) == records


def test_what_was_appended_comes_back_in_order(journal):
    """All that a seller has there: whoever reads it knows which is the newest."""
    records = [record(generation=2), record("other"), record(generation=1), record(generation=1)]

    async def main():
        for one in records:
            await journal.append(one)
        return await journal.records()

    assert run(main) == records


def test_removing_drops_what_is_done_and_nothing_else(journal):
    """Nothing of others, and nothing that somebody appended meanwhile."""
    old, new = record(generation=1), record(generation=2)
    others = [record("other"), record(scope="other")]

    def is_old(one):
        return one.generation == 1

    def is_unreadable(_):
        raise StoreError("written by a newer version")

    async def main():
        for one in (old, new, old, *others):
            await journal.append(one)
        await journal.remove(SCOPE, {"1001": is_unreadable})
        assert await journal.records() == [old, new, old, *others]
        await journal.remove(SCOPE, {"1001": is_old})
        await journal.remove(SCOPE, {"unknown": anything})
        assert await journal.records() == [new, *others]
        await journal.remove("other", {"1001": anything})
        await journal.remove(SCOPE, {"1001": anything})
        assert await journal.records() == [others[0]]
        await journal.remove(SCOPE, {"other": anything})
        return await journal.records()

    assert run(main) == []


def test_an_emptied_journal_is_empty(journal, path):
    """No token stays in a file that nobody looks at."""

    async def main():
        await journal.remove(SCOPE, {"1001": anything})
        assert not path.exists()
        await journal.append(record())
        await journal.remove(SCOPE, {"1001": anything})

    run(main)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_only_its_user_can_read_it(journal, path, umask, monkeypatch):
    """From its first byte on, and after it was rewritten."""
    seen = []
    write = _files._write

    def watch(file, content):
        seen.extend(mode(entry) for entry in path.parent.iterdir())
        write(file, content)

    monkeypatch.setattr(_files, "_write", watch)
    before = os.umask(umask)
    try:

        async def main():
            await journal.append(record("a"))
            await journal.append(record("b"))
            with path.open("ab") as file:
                file.write(b'{"torn')
            await journal.remove(SCOPE, {"a": anything})

        run(main)
    finally:
        os.umask(before)
    seen += [mode(entry) for entry in path.parent.iterdir()]
    assert len(seen) > 6
    assert set(seen) == {0o600}


@pytest.mark.parametrize(
    "tear",
    [
        b'{"scope":"a","seller":"1001","selle',
        b"\0\0\0\0",
        b"\xff\xfe",
        b"{}",
        b"[1]",
        b"true",
        b'{"scope":1,"seller":"a","sellers":["a"],"due_at":null,"dies_at":null,"body":""}',
        b'{"scope":"a","seller":"a","sellers":[2],"due_at":null,"dies_at":null,"body":""}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_a_torn_line_is_skipped_and_kept_aside(journal, path, tear):
    """It takes no other line with it, and it is never simply dropped."""

    async def main():
        await journal.append(record("a"))
        with path.open("ab") as file:
            file.write(tear)
        assert await journal.records() == [record("a")]
        await journal.append(record("b"))
        await journal.append(record("c"))
        assert await journal.records() == [record("a"), record("b"), record("c")]
        assert tear in path.read_bytes()
        await journal.remove(SCOPE, {"b": anything})
        return await journal.records()

    assert run(main) == [record("a"), record("c")]
    assert tear not in path.read_bytes()
    assert path.with_name("tokens.spill.torn").read_bytes() == tear + b"\n"


def test_any_torn_end_leaves_the_lines_before_it(journal, path):
    """Wherever the crash cut."""

    async def main():
        for n in range(3):
            await journal.append(record(f"{n}"))

    run(main)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for size in range(len(content)):
        path.write_bytes(content[:size])
        complete = sum(size >= len(b"".join(lines[: n + 1])) - 1 for n in range(3))
        assert [one.seller_id for one in kept_in(path)] == ["0", "1", "2"][:complete]


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_an_append_that_fails_leaves_what_was_there(journal, path, failing, monkeypatch):
    """The disk is full, say; the next one succeeds."""
    written = []

    def write(file, content):
        written.append(file.write(content[:10]))
        raise OSError(28, "No space left on device")

    def fsync(descriptor):
        raise OSError(5, "Input/output error")

    async def main():
        await journal.append(record("a"))
        found = path.read_bytes()
        with monkeypatch.context() as patch:
            if failing == "write":
                patch.setattr(_files, "_write", write)
            else:
                patch.setattr(_files.os, "fsync", fsync)
            with pytest.raises(StoreError, match=r"what it held is intact.*(No space|Input)"):
                await journal.append(record("b"))
        assert path.read_bytes() == found
        await journal.append(record("c"))
        return await journal.records()

    assert run(main) == [record("a"), record("c")]


def test_a_rewrite_that_fails_leaves_what_was_there(journal, path, monkeypatch):
    """And no draft of it."""

    def sync(directory):
        raise OSError(28, "No space left on device")

    async def main():
        for seller in ("a", "b"):
            await journal.append(record(seller))
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, "fsync", sync)
            with pytest.raises(StoreError):
                await journal.remove(SCOPE, {"a": anything})
        return await journal.records()

    assert run(main) == [record("a"), record("b")]
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_directory_is_an_error(tmp_path):
    """A typed one, which names the path and no secret."""
    journal = SpillJournal(tmp_path / "not there" / "tokens.spill")
    with pytest.raises(StoreError, match=r"not there/tokens\.spill: .*No such file") as caught:
        run(lambda: journal.append(record(body=b"canary")))
    assert "canary" not in f"{caught.value}{caught.value.__cause__!r}"
    assert str(tmp_path) in repr(journal)


def test_a_journal_that_stays_locked_is_given_up_in_time(journal, path, monkeypatch):
    """A process that hangs must not keep all the others from closing."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("iop_async.stores._files._LOCK_TIMEOUT", 0.1)

    async def main():
        await journal.append(record())
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match="another process kept the file locked"):
                await journal.append(record("b"))
        await journal.append(record("c"))
        return await journal.records()

    assert run(main) == [record(), record("c")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
def test_a_process_forked_while_the_journal_is_written_does_not_keep_it_locked(path, monkeypatch):
    """It has the file open as well, for as long as it lives."""
    monkeypatch.setattr("iop_async.stores._files._LOCK_TIMEOUT", 0.5)
    with _files._held(path):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        run(lambda: SpillJournal(path).append(record()))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert kept_in(path) == [record()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_share_a_journal(journal, backend):
    """Cancelled ones among them."""

    async def append(n, patience):
        with anyio.move_on_after(patience) as scope:
            await journal.append(record(f"{n}"))
        if not scope.cancelled_caught:
            acknowledged.add(f"{n}")

    acknowledged = set()

    async def main():
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(append, n, (0, 0.01, 30)[n % 3])
        return {one.seller_id for one in await journal.records()}

    assert acknowledged <= run(main, backend)
    assert acknowledged


def test_processes_share_a_journal(path):
    """Appending and rewriting at the same time loses nothing."""
    pytest.importorskip("fcntl")
    children = [
        subprocess.Popen(child("spill", path, name, 40), stderr=subprocess.PIPE) for name in "abcd"
    ]
    for one in children:
        _, error = one.communicate(timeout=60)
        assert one.returncode == 0, error.decode()
    removed = {f"{name}-{n}" for name in "abcd" for n in (4, 14, 24, 34)}
    expected = {f"{name}-{n}" for name in "abcd" for n in range(40)} - removed
    assert {one.seller_id for one in kept_in(path)} == expected
    assert list(path.parent.iterdir()) == [path]


def kill_writers(path, times):
    done = subprocess.run(
        child("spill_killed", path, times), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) >= times


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
def test_a_killed_process_leaves_every_appended_record(path):
    """Wherever in an append or a rewrite it died."""
    kill_writers(path, 20)


@pytest.mark.drill
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
def test_a_process_killed_many_times_leaves_every_appended_record(path):
    """Two hundred times over."""
    kill_writers(path, 200)
