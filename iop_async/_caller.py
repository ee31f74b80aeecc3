"""What every caller does alike: ``call`` and ``with_headers``."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from ._inputs import http_headers
from ._models import Call, Reply
from ._scrub import scrubs_frames
from ._wire import File, FileContent, HttpMethod


class CallerMixin:
    """``call`` in terms of ``_run``, for whoever sends a :class:`Call` somewhere."""

    _access_token: str | None = None

    async def _run(self, call: Call) -> Reply:
        raise NotImplementedError

    @scrubs_frames
    def with_headers(self, headers: Mapping[str, str]) -> CallerMixin:
        """A caller that sends these headers besides, ``{"x-iop-trial": "true"}`` say.

        They are not signed. Those that all calls need are the gateway's: ``Iop(..., headers=...)``.

        Raises:
            TypeError, ValueError: one that HTTP cannot carry, or that the gateway or the transport
                sets itself.
        """
        return _HeaderCaller(self, http_headers(headers))

    @scrubs_frames
    async def call(
        self,
        api: str,
        params: Mapping[str, object] | None = None,
        *,
        http_method: HttpMethod = "POST",
        files: Mapping[str, File | FileContent] | None = None,
        idempotent: bool | None = None,
        simplify: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a scope cannot tell what was sent
    ) -> Reply:
        """Call an API.

        Args:
            api: a path (``/order/get``) or a dotted name (``aliexpress.solution.order.get``).
            params: ``str``, ``int``, ``bool``, ``Decimal``, aware ``datetime``, or ``list`` and
                ``dict`` of them; ``None`` and blank text are left out.
            http_method: ``GET`` turns into ``POST`` where the URL would grow long.
            files: name to ``bytes``, path, open binary file or :class:`File`; streamed.
            idempotent: whether repeating the call is harmless, so that it is tried again although
                it may have been applied; ``None`` for a read by its name. See :class:`Retry`.
            simplify: ask for the answer without its wrapper.
            timeout: seconds for all of it, waits and every try included; then the error of the
                last try. The transport's own limits hold for each try.

        Raises:
            TypeError, ValueError, OSError: bad input; nothing was sent.
            IopError: whatever went wrong after that; ``tries`` says how often it was tried.
        """
        call = Call(
            api,
            params,
            http_method=http_method,
            files=files,
            access_token=self._access_token,
            idempotent=idempotent,
            simplify=simplify,
            timeout=timeout,
        )
        return await self._run(call)


class _HeaderCaller(CallerMixin):
    def __init__(self, caller: CallerMixin, headers: Mapping[str, str]) -> None:
        self._caller = caller
        self._headers = headers
        self._access_token = caller._access_token

    async def _run(self, call: Call) -> Reply:
        return await self._caller._run(evolve(call, headers={**self._headers, **call.headers}))
