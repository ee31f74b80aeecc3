"""A user says what their API answers, and the sandbox says of others that it does not know them."""

import pytest
from inside import APP, call
from sandbox_helpers import KEY, SECRET, SandboxCaller
from top_helpers import TopCaller

import iop_async as iop
from iop_async._models import Call
from iop_async.sandbox import Refusal, Sandbox, SandboxApp

STOCK = {"data": {"quantity": 7, "warehouses": [{"id": "a"}, {"id": "b"}]}}
NAMES = ["/stock/get", "aliexpress.stock.get"]


@pytest.fixture
def sandbox():
    return Sandbox()


@pytest.fixture
async def caller(sandbox):
    async with TopCaller(sandbox) as caller:
        yield caller


def asked(sandbox, name, params=None, **more):
    return call(sandbox, iop.gateways.Iop("http://127.0.0.1"), Call(name, params or {}, **more))


class TestData:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_value_is_what_a_client_reads(self, sandbox, name):
        sandbox.answer(name, STOCK)
        assert asked(sandbox, name).data == STOCK["data"]

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("data", [{"quantity": 7}, [1, 2], [], "text", 7, True, {}])
    def test_members_lists_and_plain_values_come_as_they_are(self, sandbox, name, data):
        sandbox.answer(name, data)
        assert asked(sandbox, name).data == data

    @pytest.mark.parametrize("name", NAMES)
    def test_a_function_gets_the_parameters_of_the_call_as_text(self, sandbox, name):
        sandbox.answer(name, lambda params: {"doubled": int(params["n"]) * 2, **params})
        assert asked(sandbox, name, {"n": 21}).data == {"doubled": 42, "n": "21"}

    @pytest.mark.parametrize("name", NAMES)
    def test_it_gets_business_parameters_only(self, sandbox, name):
        heard = []
        sandbox.answer(name, lambda params: heard.append(params) or {})
        token = sandbox.grant("1001")["access_token"]
        asked(sandbox, name, {"n": 1}, access_token=token)
        assert heard == [{"n": "1"}]

    def test_parameters_in_a_path_are_among_them(self, sandbox):
        sandbox.answer("/stock/{sku}/of/{shop}", lambda params: params)
        assert asked(sandbox, "/stock/AB-1/of/9", {"n": 1}).data == {
            "sku": "AB-1",
            "shop": "9",
            "n": "1",
        }

    def test_the_last_word_counts(self, sandbox):
        sandbox.answer("/stock/get", {"data": 1})
        sandbox.answer("/stock/get", {"data": 2})
        assert asked(sandbox, "/stock/get").data == 2

    @pytest.mark.parametrize("name", NAMES)
    def test_a_business_failure_is_one(self, sandbox, name):
        sandbox.answer(name, {"result": {"success": False, "msg_code": "F00"}})
        assert asked(sandbox, name).failed

    @pytest.mark.parametrize("name", NAMES)
    def test_a_function_may_refuse(self, sandbox, name):
        def refuse(params):
            raise Refusal("SellerNotActive", f"no seller {params['n']}")

        sandbox.answer(name, refuse)
        with pytest.raises(iop.ApiError, match="no seller 9") as caught:
            asked(sandbox, name, {"n": 9})
        assert caught.value.code == "SellerNotActive"

    def test_what_is_no_json_is_refused_at_the_door(self, sandbox):
        with pytest.raises(TypeError, match="not JSON serializable"):
            sandbox.answer("/stock/get", {"at": object()})

    @pytest.mark.parametrize("name", ["stock", "", "/stock get", "stock/get"])
    def test_a_name_that_no_call_could_have_is_refused(self, sandbox, name):
        with pytest.raises(ValueError, match="no API"):
            sandbox.answer(name, {})


class TestKnownApis:
    def test_one_that_the_sandbox_has_answers_otherwise(self, sandbox):
        sandbox.answer("/product/get", {"data": {"item_id": 5}})
        token = sandbox.grant("1001")["access_token"]
        assert asked(sandbox, "/product/get", access_token=token).data == {"item_id": 5}

    def test_it_still_needs_its_token(self, sandbox):
        sandbox.answer("/product/get", {"data": {}})
        with pytest.raises(iop.AuthError):
            asked(sandbox, "/product/get")

    @pytest.mark.parametrize("name", NAMES)
    def test_one_of_ones_own_needs_none_but_looks_at_it(self, sandbox, name):
        sandbox.answer(name, {"data": 1})
        with pytest.raises(iop.AuthError):
            asked(sandbox, name, access_token="no token of the sandbox")

    async def test_a_token_endpoint_can_answer_anything_and_still_counts(self, caller):
        pair = caller.sandbox.grant("1001")
        caller.sandbox.answer("/auth/token/refresh", {"access_token": "a", "note": "odd"})
        answer = await caller.refresh(pair["refresh_token"])
        assert answer["note"] == "odd"
        (entry,) = caller.sandbox.ledger.refreshes
        assert (entry.seller, entry.accepted) == ("1001", True)


class TestEnvelopes:
    async def test_a_path_is_flat(self, caller):
        caller.sandbox.answer("/stock/get", STOCK)
        answer = await caller.call("/stock/get")
        assert answer == STOCK | {"code": "0", "request_id": answer["request_id"]}

    async def test_a_dotted_name_is_wrapped_and_simplified(self, caller):
        caller.sandbox.answer("aliexpress.stock.get", {"list": {"item": [1, 2]}})
        full = await caller.sync("aliexpress.stock.get")
        simple = await caller.sync("aliexpress.stock.get", simplify="true")
        assert full["aliexpress_stock_get_response"]["list"] == {"item": [1, 2]}
        assert simple["list"] == [1, 2]

    async def test_taobao_wraps_in_json_and_xml(self, caller):
        caller.sandbox.answer("taobao.stock.get", lambda params: {"sku": params["sku"], "left": 3})
        fields = await caller.top("taobao.stock.get", {"sku": "A&B"})
        xml = (await caller.ask("taobao.stock.get", {"sku": "A&B"}, format="xml")).text
        assert (fields["sku"], fields["left"]) == ("A&B", 3)
        assert "<stock_get_response><sku>A&amp;B</sku><left>3</left>" in xml

    async def test_a_batch_of_taobaos_reaches_it(self, caller):
        caller.sandbox.answer("taobao.stock.get", lambda params: {"sku": params["sku"]})
        calls = [{"method": "taobao.stock.get", "sku": sku} for sku in "AB"]
        response = await caller.batch(*calls)
        first, second = response.text.split("\r\n-S-\r\n")
        assert '"sku":"A"' in first
        assert '"sku":"B"' in second


class TestUnknownApis:
    @pytest.mark.parametrize(
        ("name", "code"), [("/no/such/api", "InvalidApi"), ("no.such.api", "InvalidApiPath")]
    )
    def test_the_answer_says_how_to_teach_it(self, sandbox, name, code):
        with pytest.raises(iop.ApiError) as caught:
            asked(sandbox, name)
        assert caught.value.code == code
        assert f"the sandbox does not know '{name}'" in str(caught.value)
        assert f"sandbox.answer('{name}', data)" in str(caught.value)

    async def test_taobao_says_so_too(self, caller):
        error = await caller.top("taobao.no.such")
        assert error["code"] == 22
        assert "sandbox.answer('taobao.no.such', data)" in error["sub_msg"]

    async def test_a_long_name_is_not_repeated_at_length(self, caller):
        answer = await caller.call(f"/{'x' * 5000}")
        assert len(answer["message"]) < 500

    @pytest.mark.parametrize("name", ["{about}", "{0}", "{", "%s"])
    async def test_a_name_is_only_a_name(self, caller, name):
        assert name in (await caller.sync(name))["error_response"]["msg"]


class TestOrder:
    """An app is known first, then permitted, and only then are parameters looked at."""

    async def test_a_missing_permission_comes_before_business_parameters(self, caller):
        caller.sandbox.add_app(SandboxApp(KEY, SECRET, apis=("/seller/get",)))
        token = caller.sandbox.grant("1001")["access_token"]
        refused = await caller.call("/order/get", access_token=token)
        allowed = await caller.call("/seller/get", access_token=token)
        assert (refused["code"], allowed["code"]) == ("InsufficientPermission", "0")

    async def test_taobao_names_the_permission_that_is_missing(self, caller):
        caller.sandbox.add_app(SandboxApp(KEY, SECRET, apis=()))
        error = await caller.top("taobao.time.get")
        assert (error["code"], error["sub_code"]) == (11, "isv.permission-api-package-limit")

    @pytest.mark.parametrize("call", ["call", "sync"])
    async def test_an_unknown_app_comes_before_the_signature_and_the_path(self, caller, call):
        name = "/no/api" if call == "call" else "no.api"
        answer = await getattr(caller, call)(name, app_key="9", sign="0" * 64)
        assert answer.get("error_response", answer)["code"] == "InvalidAppkey"


async def test_everything_is_checked_before_an_answer_of_ones_own():
    async with SandboxCaller(Sandbox(apps=[SandboxApp(APP.key, "another secret")])) as caller:
        caller.sandbox.answer("/stock/get", STOCK)
        assert (await caller.call("/stock/get"))["code"] == "IncompleteSignature"
