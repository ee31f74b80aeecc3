"""FastAPI: the caller of a seller, as a dependency."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ...protocols import Caller
from ...tokens import TokenManager


def caller_dependency(
    tokens: TokenManager, seller_id: Callable[..., str | Awaitable[str]]
) -> Callable[..., Awaitable[Caller]]:
    """A dependency of FastAPI that gives the caller of the seller whose turn it is.

    ::

        from typing import Annotated
        from fastapi import Depends, FastAPI, HTTPException, Request
        from iop_async.contrib.starlette import caller_dependency

        def my_shop(request: Request) -> str:
            if "seller_id" not in request.session:
                raise HTTPException(401)
            return request.session["seller_id"]

        Shop = Annotated[iop.Caller, Depends(caller_dependency(tokens, my_shop))]
        web = FastAPI()

        @web.get("/orders")
        async def orders(shop: Shop):
            return (await shop.call("/orders/get", {"limit": 10})).data

    Args:
        tokens: keeps the sellers' tokens.
        seller_id: a dependency of yours that says for whom this request may act. It has no
            default: an id that stands in the URL is anybody's to write there.

    Raises:
        ImportError: FastAPI is not installed.
    """
    depends = _fastapi_depends()

    async def caller(**given: Any) -> Caller:
        return tokens.seller(given["seller_id"])

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameter = inspect.Parameter("seller_id", keyword, default=depends(seller_id), annotation=str)
    caller.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return caller


def _fastapi_depends() -> Callable[..., Any]:
    try:
        from fastapi import Depends
    except ImportError as error:
        msg = "caller_dependency is for FastAPI, which is not installed: pip install fastapi"
        raise ImportError(msg, name="fastapi") from error
    return Depends
