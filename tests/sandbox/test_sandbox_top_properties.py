"""Whatever the library encodes for TOP, the sandbox verifies and understands as the same text."""

import hashlib

import pytest
from any_params import expected, params_of, plain_params_of
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import APP, call, exchange

from iop_async._models import Call
from iop_async.gateways import Top
from iop_async.sandbox import Sandbox
from iop_async.signers import HMAC_MD5, TOP_HMAC_SHA256, TOP_MD5

SANDBOX = Sandbox(profile="taobao")
ECHO = "taobao.sandbox.echo"

signers = st.sampled_from([TOP_MD5, HMAC_MD5, TOP_HMAC_SHA256])
paths = st.sampled_from(["/router/rest", "/api"])


def understood(asked, signer, *, path="/router/rest", format="json"):
    gateway = Top(f"http://127.0.0.1{path}", signer=signer, format=format)
    return call(SANDBOX, gateway, asked).data


@pytest.mark.parametrize("http_method", ["GET", "POST"])
@given(params=params_of, signer=signers, path=paths, simplify=st.sampled_from([None, True]))
def test_any_parameters_arrive_as_they_were_written(http_method, params, signer, path, simplify):
    asked = Call(ECHO, params, http_method=http_method, simplify=simplify)
    assert understood(asked, signer, path=path)["params"] == expected(params)


@given(params=plain_params_of, content=st.binary(max_size=5000), signer=signers)
def test_any_parameters_and_bytes_arrive_as_multipart(params, content, signer):
    data = understood(Call(ECHO, params, files={"img": content}), signer)
    assert data["params"] == expected(params)
    (file,) = data["files"]["file"]
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(
        lambda text: bool(text.strip()) and not {"\ufffe", "\uffff"} & set(text)
    ),
    signer=signers,
)
def test_any_text_that_xml_can_hold_comes_back_in_xml(text, signer):
    assert understood(Call(ECHO, {"a": text}), signer, format="xml")["params"] == {"a": text}


@settings(max_examples=25)
@given(many=st.lists(params_of, min_size=1, max_size=5), signer=signers)
def test_any_parameters_arrive_in_a_batch(many, signer):
    gateway = Top("http://127.0.0.1/router/rest", signer=signer)
    calls = [Call(ECHO, params) for params in many]
    request = gateway.encode_batch(APP, calls, now=SANDBOX.clock.wall())
    replies = gateway.decode_batch(calls, exchange(SANDBOX, request))
    assert [reply.data["params"] for reply in replies] == [expected(params) for params in many]


@pytest.mark.parametrize("signer", [TOP_MD5, HMAC_MD5, TOP_HMAC_SHA256])
def test_a_huge_text_arrives(signer):
    huge = "茶 & \U0001fad6" * 60_000
    assert understood(Call(ECHO, {"payload": huge}), signer)["params"] == {"payload": huge}
