"""Access logs without codes and states."""

from __future__ import annotations

import logging
import re
from typing import Final
from urllib.parse import unquote_plus

from ..._redact import MASK, is_secret

_PARAMETER: Final = re.compile(r"""(?<=[?&;])([^=&;\s"']{1,200})=([^&;\s"']+)""")
_NAMES: Final = frozenset({"code", "state", "http_sign"})


class _Mask(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(masked(one) for one in record.args)
        record.msg = masked(record.msg)
        return True


def masked(value: object) -> object:
    """Text with the values of secret parameters masked in the URLs in it; others as they are."""
    return _PARAMETER.sub(_masked, value) if isinstance(value, str) and "=" in value else value


def _masked(found: re.Match[str]) -> str:
    name = unquote_plus(found[1]).lower()
    return f"{found[1]}={MASK}" if name in _NAMES or is_secret("", name) else found[0]


def mask_access_log(*names: str) -> None:
    """Mask codes, states, tokens and signatures in the URLs of an access log, from now on.

    They come in the URL of a callback, and a server's access log holds that. Calling it again
    changes nothing. One line of a module that every worker imports::

        from iop_async.contrib.starlette import mask_access_log

        mask_access_log()

    Args:
        names: of the loggers; that of uvicorn by default, also under gunicorn. A proxy before it
            has a log of its own.
    """
    for name in names or ("uvicorn.access",):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Mask) for one in logger.filters):
            logger.addFilter(_Mask())
