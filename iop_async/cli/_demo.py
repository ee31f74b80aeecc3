"""The demonstration: a gateway in a process of its own, and sellers who authorize an app there."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import attrs
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from rich.console import Console

from .. import oauth
from .._client import Client
from .._exceptions import AuthError, IopError, SignatureError
from .._models import App, HttpRequest, Token
from .._transport import HttpxTransport
from ..endpoints import auth
from ..gateways import Iop
from ..protocols import Signer
from ..signers import HMAC_SHA256
from ._board import Board
from ._diagnosis import RecordingSigner, explain

_APP = App("123456", "helloworld")
_CALLBACK = "https://shop-tool.example/callback"


async def demonstrate(sellers: int, calls: int) -> bool:
    """Run the demonstration with so many sellers and calls for each; whether all of it held."""
    with Board(Console()) as board:
        async with _local_gateway(sellers) as urls:
            gateway = Iop(urls["gateway"])
            board.say(f"a local gateway listens at {urls['gateway']}")
            async with Client(_APP, gateway) as client:
                tokens = await _authorize_all(board, client, gateway, urls["sellers"])
                await _call_all(board, client, tokens, calls)
                await _upload_all(board, client, tokens)
                await _refresh_all(board, client, tokens)
            await _diagnose(board, gateway)
        return board.held


@asynccontextmanager
async def _local_gateway(sellers: int) -> AsyncIterator[dict[str, Any]]:
    app = f"{_APP.key}:{_APP.secret}"
    arguments = ["sandbox", "--app", app, "--sellers", str(sellers), "--callback", _CALLBACK]
    command = [sys.executable, "-m", "iop_async.cli", *arguments]
    process: Process
    async with await anyio.open_process(command, stderr=None) as process:
        with anyio.fail_after(30):
            line = await _first_line(process)
        try:
            yield json.loads(line)
        finally:
            process.terminate()


async def _first_line(process: Process) -> str:
    line = ""
    if process.stdout is not None:
        async for text in TextReceiveStream(process.stdout):
            line += text
            if "\n" in line:
                return line
    msg = "the gateway's process ended before it listened"
    raise RuntimeError(msg)


async def _authorize_all(
    board: Board, client: Client, gateway: Iop, sellers: list[str]
) -> dict[str, Token]:
    """Every seller approves on the consent page; every code is traded for a token."""
    tokens: dict[str, Token] = {}

    async def authorize(seller: str, browser: HttpxTransport) -> None:
        board.seller(seller, "on the consent page")
        state = secrets.token_urlsafe(16)
        page = oauth.authorize_url(_APP, gateway, redirect_uri=_CALLBACK, state=state)
        approval = HttpRequest("GET", f"{page}&auto_approve={quote(seller)}")
        redirect = (await browser.send(approval)).headers["location"]
        callback = oauth.parse_callback(redirect, state=state)
        board.seller(seller, "has approved")
        tokens[seller] = await auth.create_token(client, code=callback.code)
        board.seller(seller, "authorized", calls=1)

    browser = HttpxTransport()
    async with anyio.create_task_group() as tasks:
        for seller in sellers:
            tasks.start_soon(authorize, seller, browser)
    await browser.aclose()
    ours = [token.seller_id == seller for seller, token in tokens.items()]
    board.check(
        held=len(ours) == len(sellers) and all(ours),
        what=f"{len(sellers)} sellers approved on the consent page and were traded for tokens",
    )
    return tokens


async def _call_all(board: Board, client: Client, tokens: Mapping[str, Token], calls: int) -> None:
    """All sellers' orders, read at the same time through one client."""
    wrong: list[str] = []

    async def read_orders(seller: str, token: Token) -> None:
        caller = client.as_seller(token)
        listed = await caller.call("/orders/get", {"limit": 10}, http_method="GET")
        orders = [order["order_id"] for order in listed.data["orders"]]
        board.seller(seller, "reading orders", calls=1)
        for number in range(calls - 1):
            order_id = orders[number % len(orders)]
            reply = await caller.call("/order/get", {"order_id": order_id})
            board.seller(seller, "reading orders", calls=1)
            if reply.data["order_id"] != order_id:
                wrong.append(seller)

    async with anyio.create_task_group() as tasks:
        for seller, token in tokens.items():
            tasks.start_soon(read_orders, seller, token)
    board.check(
        held=not wrong,
        what=f"{len(tokens) * calls} concurrent signed calls, every answer for its own question",
    )


async def _upload_all(board: Board, client: Client, tokens: Mapping[str, Token]) -> None:
    """A picture each, streamed from disk; the gateway answers what it received."""
    picture = secrets.token_bytes(300_000)
    same: list[bool] = []

    async def upload(seller: str, token: Token, path: Path) -> None:
        reply = await client.as_seller(token).call("/image/upload", files={"image": path})
        (received,) = reply.data["files"]
        same.append(received["sha256"] == hashlib.sha256(picture).hexdigest())
        board.seller(seller, "uploaded a picture", calls=1)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.jpg"
        path.write_bytes(picture)
        async with anyio.create_task_group() as tasks:
            for seller, token in tokens.items():
                tasks.start_soon(upload, seller, token, path)
    board.check(
        held=len(same) == len(tokens) and all(same),
        what=f"{len(same)} uploads arrived byte for byte",
    )


async def _refresh_all(board: Board, client: Client, tokens: Mapping[str, Token]) -> None:
    """Every token is traded for its successor; the spent refresh token is refused."""
    refused: list[bool] = []

    async def refresh(seller: str, token: Token) -> None:
        spent = token.refresh_token or ""
        successor = await auth.refresh_token(client, refresh_token=spent)
        await client.as_seller(successor).call("/seller/get")
        board.seller(seller, "refreshed", calls=2)
        try:
            await auth.refresh_token(client, refresh_token=spent)
        except AuthError as error:
            refused.append(error.code == "IllegalRefreshToken")

    async with anyio.create_task_group() as tasks:
        for seller, token in tokens.items():
            tasks.start_soon(refresh, seller, token)
    board.check(
        held=len(refused) == len(tokens) and all(refused),
        what=f"{len(refused)} tokens refreshed; the spent refresh tokens are refused",
    )


class _SignsEncodedValues:
    """The mistake that some tutorials teach: to URL-encode values before signing them."""

    sign_method = HMAC_SHA256.sign_method

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        encoded = {name: quote(value) for name, value in params.items()}
        return self._signer.sign(secret, path, encoded)


async def _diagnose(board: Board, gateway: Iop) -> None:
    """One wrong signature, and the sandbox's word on why it is wrong."""
    recorder = RecordingSigner(HMAC_SHA256)
    mistaken = attrs.evolve(gateway, signer=_SignsEncodedValues(recorder))
    explanation = ""
    try:
        async with Client(_APP, mistaken) as client:
            await client.call("/sandbox/echo", {"title": "red shoes, size 42"})
    except SignatureError as error:
        explanation = explain(recorder.signed, error.string_to_sign, recorder.secrets)
        board.say(f"\na wrong signature is refused: {error.code}\n{explanation}\n")
    except IopError as error:
        board.say(f"unexpected: {error}")
    board.check(
        held="they part here" in explanation,
        what="the gateway showed where a wrong signature went wrong",
    )
