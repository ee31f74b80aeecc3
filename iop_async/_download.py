"""Files that answers link to."""

from __future__ import annotations

from functools import partial

from ._inputs import require_seconds
from ._scrub import scrubs_frames
from ._wire import MAX_DOWNLOAD_BYTES, Downloaded, DownloadTarget
from .calling import Dispatcher
from .protocols import DownloadTransport, Transport


class DownloadMixin:
    """Brings files over the transport of a client."""

    _transport: Transport
    _dispatcher: Dispatcher

    @scrubs_frames
    async def download(
        self,
        url: str,
        to: DownloadTarget,
        *,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        timeout: float | None = None,  # noqa: ASYNC109 - a scope cannot tell what was sent
        allow_http: bool = False,
    ) -> Downloaded:
        """A file that an answer links to, whatever its size: it is never in memory.

        Nothing goes with the request: no signature, token, header of the gateway, cookie. It is
        tried again as a read is, and takes one of the transport's ``max_connections``. Hooks are
        not told of it, and ``limits`` do not hold it.

        Of a host that tells neither a length nor an end, nobody can tell whether it is whole.

        Args:
            url: ``https://…``; ``http://`` only to this machine. A few redirects are followed, none
                of them from https to http. Its query is shown nowhere: it may be a signature.
            to: a path, where the file stands once it is whole; or a file open for writing, which is
                set back where that fails (a pipe cannot be, and has got a part).
            max_bytes: of the file, both as received and, where it is compressed, decoded.
            timeout: seconds for all of it, ``None`` for any time: ``Timeouts.total`` does not hold
                here, the others do.
            allow_http: take a link without TLS, which anybody on its way can read and change.

        Raises:
            TypeError, ValueError, OSError: bad input, or a target that cannot be written to.
            TransportError: the file did not come, or not as a whole.
            ProtocolError: it is too large or badly compressed, or the answer is none with a file.
        """
        transport = self._transport
        if not isinstance(transport, DownloadTransport):
            msg = f"{type(transport).__name__} has no method download, so it brings no files"
            raise TypeError(msg)
        require_seconds("timeout", timeout)
        bring = partial(transport.download, url, to, max_bytes=max_bytes, allow_http=allow_http)
        return await self._dispatcher.repeat(lambda seconds: bring(timeout=seconds), timeout)
