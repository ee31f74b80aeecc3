"""Routes for Starlette and FastAPI, by which sellers authorize and platforms push.

``SellerRoutes`` are *connect*, *callback*, *connected*, *push* and *health*;
:func:`exception_handlers` give each error of the tree its status, :func:`caller_dependency` gives
FastAPI the caller of a seller, and :func:`mask_access_log` keeps codes out of uvicorn's log. All of
it needs the extra ``starlette``. ::

    from contextlib import asynccontextmanager
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from iop_async.contrib.starlette import SellerRoutes, mask_access_log

    mask_access_log()
    client = iop.Client(app, gateway)
    tokens = iop.TokenManager(client, store)
    routes = SellerRoutes(
        tokens, redirect_uri="https://me.example/iop/callback", secret=secrets.token_urlsafe()
    )

    @asynccontextmanager
    async def lifespan(web):
        async with client, tokens:
            yield

    web = Starlette(routes=[Mount("/iop", routes=routes)], lifespan=lifespan)

Threat model. Who attacks can send any request, make a seller's browser open any address, own a
seller's account and an app of the platform, and read what proxies and servers log. Who knows the
``secret``, the app's secret or the store is not kept out.

1. *A forged or changed state* is refused: it is signed.
2. *A callback in another browser than the one that was sent away* is refused, so that nobody's shop
   is slipped to somebody else: the state is bound to a cookie, which scripts do not see, other
   sites do not send, and other hosts cannot set.
3. *A callback that is opened again* is refused: each state is good once. Among processes that holds
   where they share a store; with ``MemoryStore``, or while the store fails, in each of them alone.
   The platform takes each code once all the same.
4. *An old callback* is refused: a state expires, by ``minutes``.
5. *A parameter that is there twice* is refused: two readers might each take another one.
6. *A request that only looks* (``HEAD``, as of link checkers) trades no code.
7. *Codes and states in a history, a Referer or a cache*: the callback leads away from its URL, and
   says ``no-referrer`` and ``no-store``; :func:`mask_access_log` is for this server's log, and a
   proxy's log is yours to mask.
8. *Script in a page*: nothing that came with a request stands in one, and the policy allows no
   script, frame, form or request.
9. *Being sent elsewhere*: no request names where a browser is sent to, nor does ``Host``.
10. *A forged, changed or truncated push* is refused before anything reads it, in constant time.
11. *A push that is sent again* is dropped for seven hours, longer than a platform tries. After that
    nobody can tell, as what is signed has no time: let handlers be idempotent. Line 3 holds here,
    too.
12. *A body without end* is not read: ``max_body``, and ten seconds.
13. *A flood of pushes*, or a handler that hangs: so many wait, no more, and answers stay fast.
    ``async def`` handlers that block the event loop block it; a plain ``def`` has a thread.
14. *Health* tells anybody whether the service works, in words without secrets, ids and addresses.
"""

try:
    import starlette  # noqa: F401 - the modules below fail without a hint
except ImportError as _error:
    _msg = "iop_async.contrib.starlette needs starlette: pip install 'iop-async[starlette]'"
    raise ImportError(_msg, name="starlette") from _error

from ._access_log import mask_access_log
from ._dependency import caller_dependency
from ._errors import exception_handlers
from ._routes import SellerRoutes

__all__ = ["SellerRoutes", "caller_dependency", "exception_handlers", "mask_access_log"]
