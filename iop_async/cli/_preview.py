"""What a call would send: the request, what was signed of it, and the same as a curl command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, quote_plus, urlsplit

import click
from attrs import evolve

from .. import gateways
from .._models import App, Call
from .._redact import MASK, escape_controls, redact, secrets_in
from .._wire import HttpRequest
from ..signers import string_to_sign
from ._output import print_json, wants_json


class Preview:
    """A request that is made, signed, and not sent."""

    def __init__(self, app: App, gateway: gateways.Preset, call: Call) -> None:
        self._call = call
        now = datetime.now(UTC)
        unsigned = gateway.prepare(app, call, now=now)
        sign = cast("str", unsigned.ask(app.secret))  # the signers of presets do not await
        self._request: HttpRequest = unsigned.finish(sign)
        self._signed = string_to_sign(unsigned.path, unsigned.params)
        # Files are not signed: without them it is the same form.
        plain = evolve(call, files={}, http_method="POST")
        body = cast("bytes", gateway.prepare(app, plain, now=now).finish(sign).body)
        self._form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        self._params: Mapping[str, str] = {**unsigned.params, **self._form, "sign": sign}
        nested = [text for text in self._params.values() if redact(text) != text]
        self._secrets = secrets_in(call.api, self._params, sign, *nested)

    def print(self, *, as_curl: bool, reveal: bool) -> None:
        """Print it; its secrets masked unless they are asked for."""
        # What a header of the user's own is for, nobody can tell.
        own = {} if reveal else dict.fromkeys(self._call.headers, MASK)
        headers = {**self._request.headers, **own}
        command = self._masked(self._curl(headers), reveal=reveal)
        if as_curl and not wants_json():
            click.echo(escape_controls(command))
            return
        url = urlsplit(self._request.url)
        document: dict[str, Any] = {
            "http_method": self._request.method,
            "url": f"{url.scheme}://{url.netloc}{url.path}",
            "headers": headers,
            "params": dict(self._params),
            "files": {name: file.filename for name, file in self._call.files.items()},
            "string_to_sign": self._signed,
        }
        shown = {name: self._tree(value, reveal=reveal) for name, value in document.items()}
        print_json({**shown, "curl": command})

    def _tree(self, value: Any, *, reveal: bool) -> Any:
        if isinstance(value, dict):
            return {name: self._tree(member, reveal=reveal) for name, member in value.items()}
        return self._masked(value, reveal=reveal)

    def _masked(self, text: str, *, reveal: bool) -> str:
        if not reveal:
            for secret in sorted(self._secrets, key=len, reverse=True):
                for form in (str(secret), quote_plus(secret)):
                    text = text.replace(form, MASK)
        return text

    def _curl(self, headers: Mapping[str, str]) -> str:
        words = ["curl", "--request", self._request.method]
        for name, value in headers.items():
            if not (self._call.files and name == "content-type"):  # curl has its own boundary
                words += ["--header", f"{name}: {value}"]
        words += self._uploads() if self._call.files else self._data()
        return " ".join(map(shlex.quote, [*words, self._request.url]))

    def _data(self) -> list[str]:
        body = self._request.body
        return ["--data-raw", body.decode()] if isinstance(body, bytes) and body else []

    def _uploads(self) -> list[str]:
        words = []
        for name, value in self._form.items():
            words += ["--form-string", f"{name}={value}"]
        for name, file in self._call.files.items():
            path = cast("Path", file.content)  # as the command line gives it
            described = f"{name}=@{path};type={file.content_type}"
            words += ["--form", f"{described};filename={file.filename}"]
        return words
