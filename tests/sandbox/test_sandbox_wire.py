"""Every way in which clients of the platform are known to put a call on the wire is accepted."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from sandbox_helpers import FORM, KEY, SandboxCaller, sha256, sign, signed

from iop_async.sandbox import Sandbox

ECHO = "/sandbox/echo"
WORDS = {"title": "陶瓷茶壶 & 100% «thé»", "note": "a+b=c?\r\nnext line", "Zone": "upper first"}


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        yield caller


def heard(response):
    assert response.status_code == 200
    body = response.json()
    assert body["code"] == "0", body
    return body["data"]["params"]


async def test_python_sdk_puts_everything_into_the_form(caller):
    params = signed(caller.sandbox, ECHO, WORDS, partner_id="lazop-sdk-python-20180424")
    response = await caller.http.post(
        f"/rest{ECHO}", content=urlencode(params).encode(), headers=FORM
    )
    assert heard(response) == WORDS


async def test_python_sdk_get_puts_everything_into_the_query(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    assert heard(await caller.http.get(f"/rest{ECHO}?{urlencode(params)}")) == WORDS


@pytest.mark.parametrize("http_method", ["GET", "POST"])
async def test_icbu_style_posts_to_rest_itself_and_signs_the_path_in_method(caller, http_method):
    params = signed(
        caller.sandbox, ECHO, {**WORDS, "method": ECHO, "simplify": "false", "format": "json"}
    )
    if http_method == "GET":
        response = await caller.http.get(f"/rest?{urlencode(params)}")
    else:
        response = await caller.http.post("/rest", data=params)
    assert heard(response) == WORDS


async def test_icbu_style_signs_no_prefix_for_a_dotted_name_on_rest(caller):
    params = signed(caller.sandbox, "", {**WORDS, "method": "sandbox.echo"})
    assert heard(await caller.http.post("/rest", data=params)) == WORDS


async def test_java_gop_puts_system_parameters_into_the_query_and_the_rest_into_the_form(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    system = {name: value for name, value in params.items() if name not in WORDS}
    response = await caller.http.post(
        f"/rest{ECHO}?{urlencode(system)}", content=urlencode(WORDS).encode(), headers=FORM
    )
    assert heard(response) == WORDS


async def test_java_top_names_method_in_query_and_body_and_signs_it_once(caller):
    params = signed(caller.sandbox, "", {**WORDS, "method": "sandbox.echo"}, v="2.0")
    system = {name: value for name, value in params.items() if name not in WORDS}
    body = {**WORDS, "method": "sandbox.echo"}
    response = await caller.http.post(f"/sync?{urlencode(system)}", data=body)
    assert response.json()["sandbox_echo_response"]["data"]["params"] == WORDS


async def test_java_rest_2_signs_what_follows_the_version(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    assert heard(await caller.http.post(f"/rest/2.0{ECHO}", data=params)) == WORDS


async def test_php_sends_multipart_without_any_file(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    system = {name: value for name, value in params.items() if name not in WORDS}
    parts = "".join(
        f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in WORDS.items()
    )
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in system.items())
    response = await caller.http.post(
        f"/rest{ECHO}?{query}",
        content=f"{parts}--X--\r\n".encode(),
        headers={"content-type": "multipart/form-data; boundary=X"},
    )
    assert heard(response) == WORDS


async def test_go_client_sends_one_flat_json_object(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    response = await caller.http.post(
        f"/rest{ECHO}",
        content=json.dumps(params, ensure_ascii=False).encode(),
        headers={"content-type": "application/json;charset=utf-8"},
    )
    assert heard(response) == WORDS


async def test_json_scalars_count_as_the_text_they_are_written_as(caller):
    """Numbers keep every digit, ``null`` is not there."""
    as_text = {"id": "500038374133105001", "price": "1.10", "paid": "true", "list": '["茶"]'}
    params = signed(caller.sandbox, ECHO, as_text)
    bare = {name: value for name, value in params.items() if name not in as_text}
    members = '"id":500038374133105001,"price":1.10,"paid":true,"list":["茶"],"none":null'
    response = await caller.http.post(
        f"/rest{ECHO}",
        content=f"{json.dumps(bare)[:-1]},{members}}}".encode(),
        headers={"content-type": "application/json"},
    )
    assert heard(response) == as_text


async def test_typescript_client_posts_an_empty_body_with_everything_in_the_query(caller):
    params = signed(caller.sandbox, ECHO, WORDS)
    assert heard(await caller.http.post(f"/rest{ECHO}?{urlencode(params)}")) == WORDS


async def test_files_are_not_signed_and_only_measured(caller):
    """A multipart body with text and files, cut into small chunks on the way."""
    photo, empty = bytes(range(256)) * 800, b""
    params = signed(caller.sandbox, ECHO, WORDS)

    async def body():
        whole = b"".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in params.items()
        )
        for name, filename, content in (("image", "茶.jpg", photo), ("empty", "", empty)):
            whole += (
                f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
                "Content-Type: image/jpeg\r\n\r\n"
            ).encode()
            whole += content + b"\r\n"
        whole += b"--b--\r\n"
        for start in range(0, len(whole), 997):
            yield whole[start : start + 997]

    response = await caller.http.post(
        f"/rest{ECHO}",
        content=body(),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert heard(response) == WORDS
    image, nothing = response.json()["data"]["files"]
    assert image == {
        "name": "image",
        "filename": "茶.jpg",
        "content_type": "image/jpeg",
        "size": len(photo),
        "sha256": sha256(photo),
    }
    assert (nothing["size"], nothing["sha256"]) == (0, sha256(b""))


async def test_sdk_style_upload_with_system_parameters_in_the_query(caller):
    token = caller.sandbox.grant("1001")["access_token"]
    params = signed(caller.sandbox, "/image/upload", {}, access_token=token)
    response = await caller.http.post(
        f"/rest/image/upload?{urlencode(params)}", files={"image": ("a.png", b"\x89PNG")}
    )
    data = response.json()["data"]
    assert data["files"][0]["sha256"] == sha256(b"\x89PNG")
    assert data["image"]["url"].startswith("https://")


async def test_a_signed_text_of_four_megabytes_is_accepted(caller):
    image = bytes(range(256)) * 12_000
    token = caller.sandbox.grant("1001")["access_token"]
    text = base64.b64encode(image).decode()
    assert len(text) > 4_000_000
    answer = await caller.call("/upload/image", {"image_base64": text}, access_token=token)
    assert answer["data"]["size"] == len(image)
    assert answer["data"]["sha256"] == sha256(image)


async def test_the_body_wins_over_the_query(caller):
    params = signed(caller.sandbox, ECHO, {"a": "body"})
    query = urlencode({**params, "a": "query"})
    assert heard(await caller.http.post(f"/rest{ECHO}?{query}", data={"a": "body"})) == {
        "a": "body"
    }


async def test_blank_values_are_signed_as_they_are_sent(caller):
    assert heard(await caller.post(ECHO, {"blank": "", "space": " "})) == {
        "blank": "",
        "space": " ",
    }


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"[1, 2]", "application/json"),
        (b"{", "application/json"),
        (b"app_key=123456", "text/plain"),
        (b"no multipart at all", "multipart/form-data; boundary=b"),
        (b"whatever", "multipart/form-data"),
        (b"\xff\xfe=%ff", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_without_readable_parameters_lacks_them(caller, body, content_type):
    response = await caller.http.post(
        f"/rest{ECHO}", content=body, headers={"content-type": content_type}
    )
    assert response.json()["code"] == "MissingParameter"


async def test_half_a_surrogate_pair_in_json_does_not_hurt(caller):
    body = json.dumps({"app_key": "\ud83d", "timestamp": "1", "sign_method": "1", "sign": "1"})
    response = await caller.http.post(
        f"/rest{ECHO}", content=body, headers={"content-type": "application/json"}
    )
    assert response.json()["code"] == "InvalidAppkey"


VECTORS = [
    ("/order/get", {"access_token": "test", "order_id": "1234"}, "4190D32361CFB958"),
    ("/auth/token/refresh", {"refresh_token": "test"}, "6260C5AA3EC4EC36"),
]


@pytest.mark.parametrize(("api", "params", "start"), VECTORS)
async def test_the_published_example_is_accepted_on_its_day(caller, api, params, start):
    """Its token is not: the signature was therefore right."""
    moment = datetime.fromtimestamp(1517820392, UTC)
    caller.sandbox.clock.set(moment)
    everything = {
        "app_key": KEY,
        "sign_method": "sha256",
        "timestamp": "1517820392000",
        **params,
    }
    signature = sign(everything, api)
    assert signature.startswith(start)
    answer = (await caller.http.post(f"/rest{api}", data={**everything, "sign": signature})).json()
    assert answer["code"] in ("IllegalAccessToken", "IllegalRefreshToken")
