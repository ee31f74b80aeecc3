"""A wrong signature, and the sandbox's word on why it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import attrs

from ..._client import Client
from ..._exceptions import IopError, SignatureError
from ...protocols import Signer
from ...signers import HMAC_SHA256
from .._diagnosis import RecordingSigner, explain
from .board import Board
from .gateway import APP, LocalGateway


class _SignsEncodedValues:
    """The mistake that some tutorials teach: to URL-encode values before signing them."""

    sign_method = HMAC_SHA256.sign_method

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def sign(self, secret: str, path: str, params: Mapping[str, str]) -> str:
        encoded = {name: quote(value) for name, value in params.items()}
        return self._signer.sign(secret, path, encoded)


async def diagnose(board: Board, gateway: LocalGateway) -> None:
    """Make one, and show where the two texts part."""
    recorder = RecordingSigner(HMAC_SHA256)
    mistaken = attrs.evolve(gateway.dialect, signer=_SignsEncodedValues(recorder))
    explanation = ""
    try:
        async with Client(APP, mistaken) as client:
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
