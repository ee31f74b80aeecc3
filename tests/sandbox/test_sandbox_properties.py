"""Whatever the library encodes, the sandbox verifies and understands as the same text."""

import pytest
from any_params import expected, params_of, plain_params_of
from hypothesis import given
from hypothesis import strategies as st
from inside import call

from iop_async._models import Call
from iop_async.gateways import Iop
from iop_async.sandbox import Sandbox

GATEWAY = Iop("http://127.0.0.1:1")
SANDBOX = Sandbox()


def understood(asked):
    return call(SANDBOX, GATEWAY, asked).data


@pytest.mark.parametrize("api", ["/sandbox/echo", "sandbox.echo"])
@pytest.mark.parametrize("http_method", ["GET", "POST"])
@given(params=params_of)
def test_any_parameters_arrive_as_they_were_written(api, http_method, params):
    asked = Call(api, params, http_method=http_method)
    assert understood(asked)["params"] == expected(params)


@given(params=plain_params_of, content=st.binary(max_size=5000))
def test_any_parameters_and_bytes_arrive_as_multipart(params, content):
    data = understood(Call("/sandbox/echo", params, files={"image": content}))
    assert data["params"] == expected(params)
    assert data["files"][0]["size"] == len(content)


def test_a_huge_text_arrives():
    huge = "茶 & \U0001fad6" * 200_000
    assert understood(Call("/sandbox/echo", {"payload": huge}))["params"] == {"payload": huge}
