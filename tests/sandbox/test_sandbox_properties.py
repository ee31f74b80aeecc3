"""Whatever the library encodes, the sandbox verifies and understands as the same text."""

import asyncio
import json
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iop_async._models import App, Call
from iop_async.gateways import Iop
from iop_async.gateways._answers import STRING_TO_SIGN_HEADER
from iop_async.sandbox import Sandbox, create_app

APP = App("123456", "helloworld")
GATEWAY = Iop("http://127.0.0.1:1")
SANDBOX = Sandbox()
SYSTEM = {
    "access_token", "app_key", "debug", "format", "method", "partner_id", "session", "sign",
    "sign_method", "simplify", "timestamp", "v",
}  # fmt: skip

text = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: bool(name.strip()) and name not in SYSTEM
)
plain_names = st.from_regex(r"[A-Za-z][\w.\[\]-]{0,20}", fullmatch=True).filter(
    lambda name: name not in SYSTEM
)
scalars = (
    text
    | st.integers()
    | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False).filter(
        lambda number: abs(number.adjusted()) < 100
    )
)
nested = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
values = scalars | nested | text.map(lambda value: value * 400)
params_of = st.dictionaries(names, values, max_size=8)


async def exchange(call):
    request = GATEWAY.encode(APP, call, now=SANDBOX.clock.wall())
    body = request.body
    if not isinstance(body, bytes):
        body = b"".join(body)
    transport = httpx.ASGITransport(create_app(SANDBOX))
    parts = urlsplit(request.url)
    url = f"http://sandbox{parts.path}" + (f"?{parts.query}" if parts.query else "")
    async with httpx.AsyncClient(transport=transport) as http:
        return await http.request(request.method, url, headers=dict(request.headers), content=body)


def understood(call):
    response = asyncio.run(exchange(call))
    body = response.json()
    answer = next(iter(body.values())) if not call.is_path else body
    assert "data" in answer, (body, unquote(response.headers.get(STRING_TO_SIGN_HEADER, "")))
    return answer["data"]


def written(value):
    """A value as text, by rules of the test's own."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (list, dict)):
        return _compact(value)
    return str(value)


def _compact(value):
    if isinstance(value, list):
        return f"[{','.join(map(_compact, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}:{_compact(v)}" for k, v in value.items())
        return f"{{{','.join(pairs)}}}"
    if value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return written(value)


def expected(params):
    texts = {name: written(value) for name, value in params.items() if value is not None}
    return {name: value for name, value in texts.items() if value.strip()}


@pytest.mark.parametrize("api", ["/sandbox/echo", "sandbox.echo"])
@pytest.mark.parametrize("http_method", ["GET", "POST"])
@settings(deadline=None, max_examples=60)
@given(params=params_of)
def test_any_parameters_arrive_as_they_were_written(api, http_method, params):
    call = Call(api, params, http_method=http_method)
    assert understood(call)["params"] == expected(params)


@settings(deadline=None, max_examples=60)
@given(params=st.dictionaries(plain_names, values, max_size=6), content=st.binary(max_size=5000))
def test_any_parameters_and_bytes_arrive_as_multipart(params, content):
    call = Call("/sandbox/echo", params, files={"image": content})
    data = understood(call)
    assert data["params"] == expected(params)
    assert data["files"][0]["size"] == len(content)


def test_a_huge_text_arrives():
    huge = "茶 & \U0001fad6" * 200_000
    assert understood(Call("/sandbox/echo", {"payload": huge}))["params"] == {"payload": huge}
