"""Commands of many tasks in one round trip: those that come while others are under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from attrs import Factory, define, field

BATCH_MAX: Final = 64
"""Commands in one round trip: the most that a caller waits for besides its own."""

LANES: Final = 2
"""Round trips under way at once, so that a connection that hangs holds up half of the callers."""


@define(eq=False)
class _Waiting:
    command: Sequence[Any] = field(repr=False)
    options: dict[str, Any]
    answer: asyncio.Future[Any] = Factory(lambda: asyncio.get_running_loop().create_future())


@define(eq=False)
class Pipeline:
    """Sends a command at once while a lane is free, and with others as soon as one is.

    A connection that fails fails all commands of its batch, and whether one of them was done is
    not known. So it is for commands that may be repeated.

    Args:
        client: of one server, of redis-py.
        timeout: seconds for a batch.
    """

    client: Any
    timeout: float
    _lanes: int = LANES
    _waiting: deque[_Waiting] = Factory(deque)
    _tasks: set[asyncio.Task[None]] = Factory(set)

    async def send(self, command: Sequence[Any], options: dict[str, Any]) -> Any:
        """What the server answers to a command, and nothing of what it answers to others."""
        if self._lanes:
            self._lanes -= 1
            try:
                return await self.client.execute_command(*command, **options)
            finally:
                self._leave_lane()
        waiting = _Waiting(command, options)
        self._waiting.append(waiting)
        answer = await waiting.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _leave_lane(self) -> None:
        self._lanes += 1
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < BATCH_MAX:
            one = self._waiting.popleft()
            if not one.answer.done():  # else its caller has given up, and it must not be sent
                batch.append(one)
        if batch:
            self._lanes -= 1
            task = asyncio.get_running_loop().create_task(self._send_batch(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_batch(self, batch: Sequence[_Waiting]) -> None:
        answers: Sequence[Any] = ()
        try:
            async with asyncio.timeout(self.timeout):
                answers = await self._exchange(batch)
        except Exception as exc:  # noqa: BLE001 - it is given to those who wait
            answers = [exc] * len(batch)
        finally:
            self._leave_lane()
            for one, answer in zip(batch, answers, strict=False):
                if not one.answer.done():
                    one.answer.set_result(answer)
            for one in batch[len(answers) :]:  # cancelled with the event loop
                one.answer.cancel()

    async def _exchange(self, batch: Sequence[_Waiting]) -> Sequence[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for one in batch:
            pipeline.execute_command(*one.command, **one.options)
        answers: Sequence[Any] = await pipeline.execute(raise_on_error=False)
        return answers
