"""A caller that answers from a dict, for tests of code that takes a ``Caller``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, TypeAlias

from .._caller import CallerMixin
from .._inputs import api_name
from .._models import Call, Reply
from ..dates import milliseconds
from ..gateways._forms import text_params

Answer: TypeAlias = Any | Callable[[Mapping[str, object]], Any | Awaitable[Any]]


class FakeCaller(CallerMixin):
    """Answers calls from a dict and remembers them; sends nothing.

    It stands wherever a :class:`~iop_async.Caller` does: in endpoints, in :func:`~iop_async.pages`,
    in code of yours. What a client refuses (a ``float`` parameter, a URL as API) it refuses alike.

    Args:
        answers: for each API its answer: what is to be ``reply.data``, a whole
            :class:`~iop_async.Reply`, an exception to raise, or a callable that is given the
            parameters and returns one of those, or awaits it.

    Attributes:
        calls: every call so far, as a :class:`~iop_async.Call`, those with an unknown API included.

    A call of an API without an answer is a ``LookupError``, not an ``IopError``: the code under
    test shall not take it for a failure of the gateway.

    Example::

        from iop_async.testing import FakeCaller

        fake = FakeCaller({"/order/get": lambda params: {"order_id": params["order_id"]}})
        assert (await fake.call("/order/get", {"order_id": 42})).data == {"order_id": 42}
        assert fake.calls == [iop.Call("/order/get", {"order_id": 42})]
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.calls: list[Call] = []
        self._answers = {api_name(api): answer for api, answer in answers.items()}
        for api, answer in self._answers.items():
            if isinstance(answer, type) and issubclass(answer, BaseException):
                msg = f"the answer to {api} is the class {answer.__name__}; give an instance of it"
                raise TypeError(msg)

    async def _run(self, call: Call) -> Reply:
        text_params(call.params, milliseconds)  # refuses what no gateway encodes
        self.calls.append(deepcopy(call))  # its parameters as they are now
        if call.api not in self._answers:
            known = ", ".join(sorted(self._answers)) or "none"
            msg = f"this fake has no answer to {call.api}; it has answers to: {known}"
            raise LookupError(msg)
        answer = self._answers[call.api]
        if callable(answer):
            answer = answer(call.params)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer.with_traceback(None)  # it may be raised again, and would grow each time
        return answer if isinstance(answer, Reply) else self._reply(answer)

    def _reply(self, data: object) -> Reply:
        data = deepcopy(data)  # an answer is new each time, and may be changed by who got it
        request_id = f"fake-{len(self.calls)}"
        body = {"code": "0", "data": data, "request_id": request_id}
        return Reply(data, body, request_id=request_id, sent_at=datetime.now(UTC))

    def __repr__(self) -> str:
        return f"FakeCaller({sorted(self._answers)})"
