"""Clients in use sign and date their calls in several ways, and the sandbox takes them all."""

import hashlib
import hmac
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from sandbox_helpers import FORM, KEY, SECRET, SandboxCaller, sign, signed

from iop_async.sandbox import Sandbox
from iop_async.signers import STRING_TO_SIGN_HEADER

SEARCH = "aliexpress.affiliate.product.query"
ECHO = "/sandbox/echo"


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox(profile="aliexpress")) as caller:
        yield caller


def signature(sign_method, params):
    """By rules of the test's own."""
    text = "".join(name + params[name] for name in sorted(params)).encode()
    secret = SECRET.encode()
    if sign_method == "md5":
        return hashlib.md5(secret + text + secret).hexdigest().upper()
    algorithm = "md5" if sign_method == "hmac" else "sha256"
    return hmac.new(secret, text, algorithm).hexdigest().upper()


def dates(sandbox, seconds=0):
    moment = sandbox.clock.wall() + timedelta(seconds=seconds)
    return {
        "milliseconds": str(int(moment.timestamp() * 1000)),
        "whole seconds": f"{int(moment.timestamp())}000",
        "text in China": (moment + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S"),
        "text in UTC": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class TestSync:
    def params(self, sign_method, timestamp, **others):
        params = {
            "app_key": KEY,
            "method": SEARCH,
            "keywords": "茶 & tea",
            "sign_method": sign_method,
            "timestamp": timestamp,
            **others,
        }
        return params | {"sign": signature(sign_method, params)}

    @pytest.mark.parametrize("form", dates(Sandbox()))
    @pytest.mark.parametrize("sign_method", ["sha256", "hmac-sha256", "md5", "hmac"])
    async def test_every_signature_goes_with_every_date(self, caller, sign_method, form):
        params = self.params(sign_method, dates(caller.sandbox)[form])
        answer = (await caller.http.post("/sync", data=params)).json()
        assert "aliexpress_affiliate_product_query_response" in answer

    @pytest.mark.parametrize("http_method", ["GET", "POST"])
    async def test_system_parameters_may_stand_in_the_query(self, caller, http_method):
        """As clients of the affiliate search have it: the business's own in the form."""
        session = caller.sandbox.grant("1001")["access_token"]
        params = self.params(
            "md5", dates(caller.sandbox)["milliseconds"], session=session, simplify="true"
        )
        form = urlencode({"keywords": params.pop("keywords")})
        response = await caller.http.request(
            http_method, f"/sync?{urlencode(params)}", content=form.encode(), headers=FORM
        )
        assert response.json()["resp_result"]["resp_code"] == 200

    @pytest.mark.parametrize("sign_method", ["sha256", "hmac-sha256", "md5", "hmac"])
    async def test_a_signature_of_other_parameters_is_wrong_in_all_of_them(
        self, caller, sign_method
    ):
        params = self.params(sign_method, dates(caller.sandbox)["milliseconds"])
        answer = (await caller.http.post("/sync", data=params | {"keywords": "coffee"})).json()
        assert answer["error_response"]["code"] == "IncompleteSignature"

    @pytest.mark.parametrize("named", ["sha256", "hmac", "md5"])
    async def test_a_signature_is_judged_by_the_method_that_it_names(self, caller, named):
        params = self.params(named, dates(caller.sandbox)["milliseconds"])
        unsigned = {name: value for name, value in params.items() if name != "sign"}
        other = "md5" if named != "md5" else "hmac"
        params["sign"] = signature(other, unsigned)
        answer = (await caller.http.post("/sync", data=params)).json()
        assert answer["error_response"]["code"] == "IncompleteSignature"

    @pytest.mark.parametrize("form", dates(Sandbox()))
    @pytest.mark.parametrize("hours", [-2.01, 2.01])
    async def test_a_date_too_far_off_is_refused_in_every_form(self, caller, form, hours):
        params = self.params("md5", dates(caller.sandbox, hours * 3600)[form])
        error = (await caller.http.post("/sync", data=params)).json()["error_response"]
        assert (error["code"], error["msg"]) == (
            "IllegalTimestamp",
            "The timestamp is invalid or malformed",
        )

    async def test_the_local_time_of_another_zone_is_not_chinas(self, caller):
        utc = caller.sandbox.clock.wall().strftime("%Y-%m-%d %H:%M:%S")
        answer = (await caller.http.post("/sync", data=self.params("md5", utc))).json()
        assert answer["error_response"]["code"] == "IllegalTimestamp"


class TestRest2:
    """Parameters of a path are in it, and sent once more, but not signed."""

    async def ask(self, caller, path, params, unsigned, *, where="form"):
        form = signed(caller.sandbox, path, params)
        if where == "query":
            return await caller.http.post(f"/rest/2.0{path}?{urlencode(form | unsigned)}")
        return await caller.http.post(
            f"/rest/2.0{path}?{urlencode(form)}", content=urlencode(unsigned).encode(), headers=FORM
        )

    @pytest.mark.parametrize("where", ["form", "query"])
    @pytest.mark.parametrize(
        "unsigned",
        [
            {"what": "echo"},
            {"room": "sandbox", "what": "echo"},
            {"whole": "sandbox/echo"},
        ],
        ids=str,
    )
    async def test_a_parameter_of_the_path_is_not_signed(self, caller, unsigned, where):
        response = await self.ask(caller, ECHO, {"n": "7"}, unsigned, where=where)
        assert response.json()["data"]["params"] == {"n": "7", **unsigned}

    async def test_others_are_signed_though_they_have_the_same_value(self, caller):
        response = await self.ask(caller, ECHO, {"title": "echo"}, {"what": "echo"})
        assert response.json()["data"]["params"] == {"title": "echo", "what": "echo"}

    @pytest.mark.parametrize("value", ["other", "ech", "", "/", "/sandbox/echo/more"])
    async def test_a_parameter_that_is_not_in_the_path_must_be_signed(self, caller, value):
        response = await self.ask(caller, ECHO, {}, {"what": value})
        assert response.json()["code"] == "IncompleteSignature"

    async def test_the_sandbox_shows_what_it_would_have_signed(self, caller):
        form = signed(caller.sandbox, ECHO, {"n": "7"}) | {"sign": "0" * 64, "what": "echo"}
        response = await caller.http.post(f"/rest/2.0{ECHO}", data=form)
        shown = response.headers[STRING_TO_SIGN_HEADER]
        assert "echo" in shown
        assert "what" not in shown

    async def test_elsewhere_every_parameter_is_signed(self, caller):
        form = signed(caller.sandbox, ECHO, {}) | {"what": "echo"}
        answer = (await caller.http.post(f"/rest{ECHO}", data=form)).json()
        assert answer["code"] == "IncompleteSignature"

    async def test_system_parameters_are_signed_whatever_the_path(self, caller):
        form = signed(caller.sandbox, ECHO, {}) | {"partner_id": "echo"}
        answer = (await caller.http.post(f"/rest/2.0{ECHO}", data=form)).json()
        assert answer["code"] == "IncompleteSignature"

    @pytest.mark.parametrize("sent_too", [True, False])
    async def test_an_order_is_found_by_the_id_in_the_path(self, caller, sent_too):
        token = caller.sandbox.grant("1001")["access_token"]
        unsigned = {"orderId": "42"} if sent_too else {}
        by_path = await self.ask(caller, "/orders/42", {"access_token": token}, unsigned)
        by_name = await caller.call("/order/get", {"order_id": "42"}, access_token=token)
        assert by_path.json()["data"] == by_name["data"]

    async def test_many_equal_values_are_no_burden(self, caller):
        """However many parameters could be the path's, few signatures are tried."""
        unsigned = {f"p{number}": "echo" for number in range(300)}
        response = await self.ask(caller, ECHO, {}, unsigned)
        assert response.json()["code"] == "IncompleteSignature"


@pytest.mark.parametrize(
    "body",
    [b"--X--", b'\r\n--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--X--'],
    ids=["no part and no line end", "a line end before, none behind"],
)
async def test_multipart_bodies_of_php_and_java_are_read(caller, body):
    """They end without a line end, or begin with one."""
    params = {"a": "1"} if b"name" in body else {}
    query = {k: v for k, v in signed(caller.sandbox, ECHO, params).items() if k != "a"}
    response = await caller.http.post(
        f"/rest{ECHO}?{urlencode(query)}",
        content=body,
        headers={"content-type": "multipart/form-data; boundary=X"},
    )
    assert response.json()["data"]["params"] == params


async def test_a_json_body_may_repeat_the_parameters_of_the_query(caller):
    """As the npm package for Lazada has it."""
    params = signed(caller.sandbox, ECHO, {"order_id": "500038374133105001"})
    response = await caller.http.post(
        f"/rest{ECHO}?{urlencode(params)}", json={"order_id": 500038374133105001}
    )
    assert response.json()["data"]["params"] == {"order_id": "500038374133105001"}


async def test_the_base_alone_takes_what_the_official_python_sdk_sends(caller):
    """The API in ``method``, and seconds with three zeros for milliseconds."""
    timestamp = dates(caller.sandbox)["whole seconds"]
    params = signed(
        caller.sandbox, ECHO, {"a": "1"}, method=ECHO, format="json", simplify="false",
        partner_id="iop-sdk-python-20250910", timestamp=timestamp,
    )  # fmt: skip
    assert (await caller.http.post("/rest", data=params)).json()["data"]["params"] == {"a": "1"}
    assert params["sign"] == sign({k: v for k, v in params.items() if k != "sign"}, ECHO)
