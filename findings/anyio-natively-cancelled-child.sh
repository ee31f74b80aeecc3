#!/usr/bin/env bash
# anyio 4.16.0 on asyncio, Python 3.11, 2026-11-27
#
# One task of a group is cancelled by `asyncio.Task.cancel()`, as a shutdown does that cancels every
# task of the loop, or a debugger that ends one.
# Expected: what asyncio's own TaskGroup does, whose other tasks go on.
# Seen: anyio's task group cancels all the others, and its block ends without an exception: whoever
# started them is not told that their work was cut off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet anyio==4.16.0
"$folder/env/bin/python" - <<'PY'
import asyncio

import anyio


async def outcome_of_the_other(group, start):
    ended = []

    async def endless():
        children.append(asyncio.current_task())
        await asyncio.sleep(3600)

    async def other():
        try:
            await asyncio.sleep(0.2)
            ended.append("finished")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    children = []
    async with group as tasks:
        for task in (endless, other):
            start(tasks, task)
        await asyncio.sleep(0.05)
        children[0].cancel()
    return ended


async def main():
    of_asyncio = await outcome_of_the_other(
        asyncio.TaskGroup(), lambda tasks, task: tasks.create_task(task())
    )
    of_anyio = await outcome_of_the_other(
        anyio.create_task_group(), lambda tasks, task: tasks.start_soon(task)
    )
    print("asyncio: the other task", *of_asyncio)
    print("anyio:   the other task", *of_anyio, "and no exception")
    assert (of_asyncio, of_anyio) == (["finished"], ["cancelled"])


asyncio.run(main())
PY
