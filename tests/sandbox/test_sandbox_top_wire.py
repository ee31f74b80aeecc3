"""Every way in which clients of TOP put a call on the wire is accepted."""

import json
from urllib.parse import urlencode

import pytest
from sandbox_helpers import FORM, sha256
from top_helpers import ECHO, TopCaller, sign, signed, text_of

from iop_async.sandbox import Sandbox

WORDS = {"title": "陶瓷茶壶 & 100% «thé»", "note": "a+b=c?\r\nnext line", "Zone": "upper first"}
SYSTEM = {"method", "app_key", "timestamp", "v", "format", "sign_method", "sign", "session"}


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        yield caller


def heard(response):
    assert response.status_code == 200
    return response.json()["sandbox_echo_response"]


def apart(params):
    system = {name: value for name, value in params.items() if name in SYSTEM}
    return urlencode(system), {k: v for k, v in params.items() if k not in SYSTEM}


async def test_taobaopy_puts_everything_into_the_form(caller):
    assert heard(await caller.ask(ECHO, WORDS, sign_method="hmac"))["params"] == WORDS


async def test_java_puts_system_parameters_into_the_query_and_the_rest_into_the_form(caller):
    query, form = apart(
        signed(caller.sandbox, {"method": ECHO, **WORDS}, sign_method="hmac-sha256")
    )
    response = await caller.http.post(f"/router/rest?{query}", data=form)
    assert heard(response)["params"] == WORDS


async def test_everything_may_stand_in_the_query(caller):
    query = urlencode(signed(caller.sandbox, {"method": ECHO, **WORDS}))
    assert heard(await caller.http.get(f"/router/rest?{query}"))["params"] == WORDS
    assert heard(await caller.http.post(f"/router/rest?{query}"))["params"] == WORDS


async def test_topsdk_sends_multipart_with_a_boundary_of_its_own(caller):
    """System parameters in the query, and parts that call themselves files."""
    content = b"\x89PNG\r\n--PYTHON_SDK\r\n" * 300
    query, form = apart(signed(caller.sandbox, {"method": ECHO, **WORDS}, partner_id=None))
    parts = [
        f'--PYTHON_SDK_BOUNDARY\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: text/plain; charset=UTF-8\r\n\r\n{value}\r\n"
        for name, value in form.items()
    ]
    head = (
        '--PYTHON_SDK_BOUNDARY\r\nContent-Disposition: file; name="img"; filename="a.png"\r\n'
        "Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    )
    body = "".join([*parts, head]).encode() + content + b"\r\n--PYTHON_SDK_BOUNDARY--\r\n"
    content_type = "multipart/form-data; boundary=PYTHON_SDK_BOUNDARY"
    response = await caller.http.post(
        f"/router/rest?{query}", content=body, headers={"content-type": content_type}
    )
    answer = heard(response)
    assert answer["params"] == WORDS
    (file,) = answer["files"]["file"]
    assert (file["name"], file["filename"]) == ("img", "a.png")
    assert (file["size"], file["sha256"]) == (len(content), sha256(content))


async def test_everything_may_stand_in_multipart(caller):
    params = signed(caller.sandbox, {"method": ECHO, **WORDS})
    response = await caller.http.post("/router/rest", data=params, files={"f": b"content"})
    assert heard(response)["params"] == WORDS


@pytest.mark.parametrize("path", ["/router/rest", "/router/rest/", "/api"])
async def test_the_sec_token_s_address_is_one_more(caller, path):
    params = signed(caller.sandbox, {"method": ECHO, **WORDS})
    assert heard(await caller.http.post(path, data=params))["params"] == WORDS


@pytest.mark.parametrize("path", ["/router", "/router/rest/x", "/api/x", "/router/batches"])
async def test_other_addresses_do_not_exist(caller, path):
    assert (await caller.http.post(path, data=signed(caller.sandbox, {}))).status_code == 404


@pytest.mark.parametrize("sign_method", ["md5", "hmac", "hmac-sha256"])
@pytest.mark.parametrize("kind", ["application/json", "text/xml", "application/octet-stream"])
async def test_a_raw_body_is_signed_after_the_parameters(caller, sign_method, kind):
    body = json.dumps(WORDS, ensure_ascii=False)
    params = signed(caller.sandbox, {"method": ECHO, "a": "1"}, body=body, sign_method=sign_method)
    url = f"/router/rest?{urlencode(params)}"
    answer = heard(await caller.http.post(url, content=body, headers={"content-type": kind}))
    assert (answer["params"], json.loads(answer["body"])) == ({"a": "1"}, WORDS)
    changed = await caller.http.post(url, content=f"{body} ", headers={"content-type": kind})
    assert changed.json()["error_response"]["code"] == 25


async def test_a_raw_body_that_is_no_utf_8_has_a_code_of_its_own(caller):
    url = f"/router/rest?{urlencode(signed(caller.sandbox, {'method': ECHO}))}"
    response = await caller.http.post(url, content=b"\xff", headers={"content-type": "text/plain"})
    assert response.json()["error_response"]["code"] == 47


async def test_text_in_another_encoding_makes_the_signature_wrong(caller):
    params = signed(caller.sandbox, {"method": ECHO, "title": "茶"})
    form = urlencode(params, encoding="gbk").encode()
    response = await caller.http.post("/router/rest", content=form, headers=FORM)
    assert response.json()["error_response"]["code"] == 25


async def test_a_name_in_query_and_body_is_signed_once_and_the_body_wins(caller):
    params = signed(caller.sandbox, {"method": ECHO, "a": "body"})
    query = urlencode(params | {"a": "query"})
    response = await caller.http.post(f"/router/rest?{query}", data={"a": "body"})
    assert heard(response)["params"] == {"a": "body"}


async def test_blank_values_are_signed_as_they_are_sent(caller):
    params = {"method": ECHO, "a": "", "app_key": "123456", "v": "2.0", "format": "json"}
    params["timestamp"] = signed(caller.sandbox, {})["timestamp"]
    params["sign"] = sign(text_of(params), "md5")
    assert heard(await caller.http.post("/router/rest", data=params))["params"] == {"a": ""}


async def test_a_query_beyond_eight_kilobytes_is_414(caller):
    query = urlencode(signed(caller.sandbox, {"method": ECHO, "a": "x" * 9000}))
    assert (await caller.http.get(f"/router/rest?{query}")).status_code == 414
