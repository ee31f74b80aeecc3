"""Codes are traded once, pairs rotate, the horizon stands, and the ledger forgets nothing."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sandbox_helpers import KEY, SECRET, SandboxCaller, signed

from iop_async._models import Reply, Seller
from iop_async.endpoints._token_answer import parse_token
from iop_async.sandbox import (
    PROFILES,
    Lifetimes,
    Profile,
    Sandbox,
    SandboxApp,
    SandboxSeller,
    digest,
)

CREATE, REFRESH = "/auth/token/create", "/auth/token/refresh"
DAY = 24 * 3600


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        caller.sandbox.clock.speed = 0
        yield caller


class TestCodes:
    async def test_a_code_is_traded_once(self, caller):
        code = caller.sandbox.authorize("1001")
        assert (await caller.call(CREATE, {"code": code}))["code"] == "0"
        again = await caller.call(CREATE, {"code": code})
        assert (again["code"], again["type"]) == ("InvalidCode", "ISP")
        assert again["message"] == "Invalid authorization code"

    @pytest.mark.parametrize(
        ("profile", "minutes"), [("taobao_global", 30), ("lazada", 30), ("aliexpress", 3)]
    )
    async def test_a_code_lives_as_long_as_its_market_says(self, profile, minutes):
        async with SandboxCaller(Sandbox(profile=profile)) as caller:
            caller.sandbox.clock.speed = 0
            code, other = caller.sandbox.authorize("1001"), caller.sandbox.authorize("1001")
            caller.sandbox.clock.advance(minutes * 60 - 1)
            assert (await caller.call(CREATE, {"code": code}))["code"] == "0"
            caller.sandbox.clock.advance(1)
            assert (await caller.call(CREATE, {"code": other}))["code"] == "InvalidCode"

    @pytest.mark.parametrize(
        ("profile", "form"),
        [
            ("taobao_global", r"0_\w{25}"),
            ("lazada", rf"0_{KEY}_\w{{25}}"),
            ("aliexpress", rf"3_{KEY}_\w{{25}}"),
            ("miravia", rf"3_{KEY}_\w{{25}}"),
            ("alibaba", rf"3_{KEY}_\w{{25}}"),
            ("daraz", rf"4_{KEY}_\w{{25}}"),
        ],
    )
    def test_a_code_looks_as_in_its_market(self, profile, form):
        assert re.fullmatch(form, Sandbox(profile=profile).authorize("1001"))

    async def test_a_code_of_another_app_is_invalid_and_stays_good_for_its_own(self, caller):
        caller.sandbox.add_app(SandboxApp("654321", "other"))
        code = caller.sandbox.authorize("1001", app="654321")
        assert (await caller.call(CREATE, {"code": code}))["code"] == "InvalidCode"
        app = caller.sandbox.apps["654321"]
        assert caller.sandbox.grants.redeem(app, code).app == "654321"

    async def test_passing_uuid_is_an_invalid_code(self, caller):
        code = caller.sandbox.authorize("1001")
        answer = await caller.call(CREATE, {"code": code, "uuid": "u"})
        assert answer["code"] == "InvalidCode"

    @pytest.mark.parametrize(("api", "name"), [(CREATE, "code"), (REFRESH, "refresh_token")])
    async def test_what_is_to_be_traded_must_be_there(self, caller, api, name):
        answer = await caller.call(api)
        assert answer["code"] == "MissingParameter"
        assert f"“{name}”" in answer["message"]

    async def test_all_the_token_endpoints_trade(self, caller):
        for create, refresh in ((CREATE, REFRESH), (_security(CREATE), _security(REFRESH))):
            token = await caller.call(create, {"code": caller.sandbox.authorize("1001")})
            renewed = await caller.call(refresh, {"refresh_token": token["refresh_token"]})
            assert renewed["code"] == "0"
        code = caller.sandbox.authorize("1002")
        answer = await caller.call("/auth/token/createWithOpenId", {"code": code})
        assert answer["open_id"]

    async def test_token_endpoints_take_get(self, caller):
        code = caller.sandbox.authorize("1001")
        params = signed(caller.sandbox, CREATE, {"code": code})
        response = await caller.http.get(f"/rest{CREATE}", params=params)
        assert response.json()["code"] == "0"


def _security(api):
    return api.replace("/token/", "/token/security/")


class TestRotation:
    async def test_a_refresh_gives_a_new_pair_and_ends_the_old_one(self, caller):
        old = await caller.token()
        new = await caller.refresh(old["refresh_token"])
        assert new["access_token"] != old["access_token"]
        assert new["refresh_token"] != old["refresh_token"]
        assert await _works(caller, new)
        assert not await _works(caller, old)
        again = await caller.refresh(old["refresh_token"])
        assert (again["code"], again["type"]) == ("IllegalRefreshToken", "ISP")
        assert again["message"] == "The specified refresh token is invalid or expired"
        assert await _works(caller, new)

    async def test_keep_leaves_the_old_pair_good(self):
        async with SandboxCaller(Sandbox(rotation="keep")) as caller:
            old = await caller.token()
            first = await caller.refresh(old["refresh_token"])
            second = await caller.refresh(old["refresh_token"])
            assert first["refresh_token"] != second["refresh_token"]
            assert [await _works(caller, token) for token in (old, first, second)] == [True] * 3

    async def test_the_old_access_token_may_outlive_its_refresh_token(self):
        async with SandboxCaller(Sandbox(old_access_token="stays")) as caller:
            old = await caller.token()
            await caller.refresh(old["refresh_token"])
            assert await _works(caller, old)
            assert (await caller.refresh(old["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_or_die_before_it(self):
        async with SandboxCaller(Sandbox(rotation="keep", old_access_token="dies")) as caller:
            old = await caller.token()
            assert (await caller.refresh(old["refresh_token"]))["code"] == "0"
            assert not await _works(caller, old)
            assert (await caller.refresh(old["refresh_token"]))["code"] == "0"

    async def test_authorizing_again_ends_the_earlier_pair(self, caller):
        old = await caller.token()
        new = await caller.token()
        assert not await _works(caller, old)
        assert await _works(caller, new)
        assert (await caller.refresh(old["refresh_token"]))["code"] == "IllegalRefreshToken"
        assert caller.sandbox.grants.live_pair(KEY, "1001").generation == 2

    async def test_one_sellers_rotation_is_nobody_elses(self, caller):
        mine, theirs = await caller.token("1001"), await caller.token("1002")
        await caller.refresh(mine["refresh_token"])
        assert await _works(caller, theirs)

    async def test_a_refresh_token_belongs_to_one_app(self, caller):
        caller.sandbox.add_app(SandboxApp("654321", "other"))
        token = caller.sandbox.grant("1001", app="654321")
        answer = await caller.refresh(token["refresh_token"])
        assert answer["code"] == "IllegalRefreshToken"
        assert caller.sandbox.grants.live_pair("654321", "1001").refresh_live

    async def test_a_revoked_authorization_is_dead(self, caller):
        token = await caller.token()
        caller.sandbox.grants.revoke(KEY, "1001")
        assert not await _works(caller, token)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"
        assert caller.sandbox.grants.live() == []


async def _works(caller, token):
    answer = await caller.call("/seller/get", access_token=token["access_token"])
    return answer["code"] == "0"


class TestHorizon:
    async def test_it_counts_down_and_is_never_reset(self, caller):
        token = await caller.token()
        assert (token["expires_in"], token["refresh_expires_in"]) == (
            30 * DAY,
            60 * DAY,
        )
        for day in (15, 30, 45):
            caller.sandbox.clock.advance(15 * DAY)
            token = await caller.refresh(token["refresh_token"])
            assert token["expires_in"] == 30 * DAY
            assert token["refresh_expires_in"] == (60 - day) * DAY

    async def test_an_access_token_may_outlive_it(self, caller):
        token = await caller.token()
        caller.sandbox.clock.advance(60 * DAY - 1)
        token = await caller.refresh(token["refresh_token"])
        assert (token["expires_in"], token["refresh_expires_in"]) == (30 * DAY, 1)
        caller.sandbox.clock.advance(1)
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"
        assert await _works(caller, token)

    async def test_zero_means_not_refreshable(self, caller):
        caller.sandbox.add_app(SandboxApp(KEY, SECRET, refreshable=False))
        token = await caller.token()
        assert token["refresh_expires_in"] == 0
        assert (await caller.refresh(token["refresh_token"]))["code"] == "IllegalRefreshToken"

    async def test_a_market_app_is_told_so(self, caller):
        caller.sandbox.add_app(SandboxApp(KEY, SECRET, market_only=True))
        token = await caller.token()
        answer = await caller.refresh(token["refresh_token"])
        assert answer["code"] == "AUTH_TYPE_UNSUPPORTED"
        assert answer["message"] == "appkey can only be authorized by market, not support refresh"
        assert await _works(caller, token)

    @pytest.mark.parametrize(
        ("profile", "stage", "access", "refresh"),
        [
            ("taobao_global", "online", 30, 60),
            ("taobao_global_sample", "online", 30, 180),
            ("alibaba", "test", 1, 7),
            ("taobao_global", "test", 7, 30),
            ("lazada", "online", 30, 180),
            ("lazada", "test", 7, 14),
            ("daraz", "test", 7, 30),
            ("aliexpress", "online", 30, 60),
            ("aliexpress", "test", 1, 2),
        ],
    )
    def test_lifetimes_are_those_of_the_market(self, profile, stage, access, refresh):
        token = Sandbox(profile=profile, stage=stage).grant("1001")
        assert (int(token["expires_in"]), int(token["refresh_expires_in"])) == (
            access * DAY,
            refresh * DAY,
        )

    def test_lifetimes_can_be_any(self):
        token = Sandbox(access_seconds=10, refresh_seconds=60).grant("1001")
        assert (token["expires_in"], token["refresh_expires_in"]) == (10, 60)


class TestShapes:
    @pytest.mark.parametrize("profile", PROFILES)
    def test_the_library_reads_every_one(self, profile):
        sandbox = Sandbox(profile=profile)
        seller = sandbox.sellers["1002"]
        sent_at = datetime(2026, 1, 1, tzinfo=UTC)
        token = parse_token(Reply(sandbox.grant("1002"), sent_at=sent_at))
        assert token.seller_id == "1002"
        assert token.account == seller.account
        assert [shop.seller_id for shop in token.sellers] == [
            shop.seller_id for shop in seller.shops
        ]
        assert token.expires_at - sent_at == timedelta(seconds=sandbox.grants.access_seconds)

    def test_taobao_global_has_numbers_and_names_in_lower_case(self):
        answer = Sandbox().grant("1001")
        assert answer.keys() == {
            "access_token", "refresh_token", "expires_in", "refresh_expires_in", "account",
            "account_platform", "user_id", "seller_id", "short_code",
        }  # fmt: skip
        assert (answer["expires_in"], answer["refresh_expires_in"]) == (30 * DAY, 60 * DAY)
        assert answer["seller_id"] == "1001"

    def test_the_documented_taobao_global_sample_is_all_text(self):
        answer = Sandbox(profile="taobao_global_sample").grant("1001")
        assert all(isinstance(value, str) for value in answer.values())
        assert answer["error_code"] == "error_code"
        assert answer["seller_Id"] == "1001"
        assert {"user_Id", "account_id", "account_platform", "short_code"} < answer.keys()

    def test_aliexpress_has_numbers_and_milliseconds(self):
        sandbox = Sandbox(profile="aliexpress")
        answer = sandbox.grant("1001")
        assert "account_id" not in answer
        assert isinstance(answer["expires_in"], int)
        until = datetime.fromtimestamp(answer["expire_time"] / 1000, UTC)
        assert abs(until - sandbox.clock.now() - timedelta(days=30)) < timedelta(minutes=1)
        assert isinstance(answer["havana_id"], str)
        assert (answer["account_platform"], answer["sp"]) == ("buyerApp", "ae")

    def test_the_documented_aliexpress_sample_is_all_text(self):
        answer = Sandbox(profile="aliexpress_sample").grant("1001")
        assert all(isinstance(value, str) for value in answer.values())
        assert answer["account_id"] == "7063844"

    async def test_lazada_lists_shops_under_two_names_on_refresh(self):
        async with SandboxCaller(Sandbox(profile="lazada")) as caller:
            token = await caller.token()
            assert isinstance(token["country_user_info"], list)
            assert "country_user_info_list" not in token
            renewed = await caller.refresh(token["refresh_token"])
            assert renewed["country_user_info"] == renewed["country_user_info_list"]
            assert renewed["country"] == renewed["country_user_info"][0]["country"]

    def test_a_cross_border_token_serves_six_ventures(self):
        answer = Sandbox(profile="lazada_cross_border").grant("1001")
        assert answer["country"] == "cb"
        shops = answer["country_user_info"]
        assert [shop["country"] for shop in shops] == ["sg", "my", "vn", "th", "ph", "id"]
        assert len({shop["seller_id"] for shop in shops}) == 6

    def test_shops_may_be_keyed_by_country(self):
        answer = Sandbox(profile="lazada_by_country").grant("1001")
        assert answer["country_user_info"]["SG"]["seller_id"] == "1001"
        assert isinstance(answer["country_user_info"]["SG"]["user_id"], int)
        assert isinstance(answer["expires_in"], str)

    def test_daraz_has_one_user_info(self):
        answer = Sandbox(profile="daraz").grant("1001")
        assert answer["user_info"]["seller_id"] == "1001"
        assert isinstance(answer["user_info"]["user_id"], int)
        assert "country_user_info" not in answer

    def test_a_daraz_seller_of_several_countries_has_a_list(self):
        shops = (Seller("pk", "1", "10", "PK1"), Seller("bd", "2", "20", "BD1"))
        sandbox = Sandbox(profile="daraz", sellers=[SandboxSeller("1", "a@b.c", shops)])
        answer = sandbox.grant("1")
        assert [shop["seller_id"] for shop in answer["country_user_info"]] == ["1", "2"]
        assert answer["country"] == "cb"

    def test_a_market_of_ones_own_is_a_value(self):
        profile = Profile(
            name="mine",
            shape=lambda issued: {"token": issued.pair.access_token, "for": issued.expires_in},
            code_form="9_{random}",
            online=Lifetimes(60, 120),
        )
        sandbox = Sandbox(profile=profile)
        assert sandbox.authorize("1001").startswith("9_")
        assert sandbox.grant("1001")["for"] == 60

    def test_alibaba_puts_ids_into_user_info(self):
        answer = Sandbox(profile="alibaba").grant("1001")
        assert (answer["country"], answer["account_platform"]) == ("GLOBAL", "buyerApp")
        assert answer["user_info"]["seller_id"] == "1001"
        assert answer["user_info"]["loginId"]
        assert not {"sp", "havana_id", "expire_time", "seller_id"} & answer.keys()

    def test_tokens_look_real_and_are_all_different(self):
        sandbox = Sandbox()
        tokens = [sandbox.grant("1001") for _ in range(50)]
        assert all(re.fullmatch(r"50000601\w{52}", token["access_token"]) for token in tokens)
        assert all(re.fullmatch(r"50001600\w{52}", token["refresh_token"]) for token in tokens)
        assert len({token["access_token"] for token in tokens}) == 50


class TestLedger:
    async def test_it_tells_every_refresh_presented_and_its_outcome(self, caller):
        first = await caller.token()
        second = await caller.refresh(first["refresh_token"])
        await caller.refresh(first["refresh_token"])
        await caller.refresh(second["refresh_token"])
        await caller.refresh("never issued")
        told = [
            (entry.seller, entry.generation, entry.accepted, entry.code)
            for entry in caller.sandbox.ledger.refreshes
        ]
        assert told == [
            ("1001", 1, True, "0"),
            ("1001", 1, False, "IllegalRefreshToken"),
            ("1001", 2, True, "0"),
            (None, None, False, "IllegalRefreshToken"),
        ]
        presented = caller.sandbox.ledger.presented(digest(first["refresh_token"]))
        assert [entry.accepted for entry in presented] == [True, False]

    async def test_a_refresh_that_never_came_to_be_judged_is_there_too(self, caller):
        token = await caller.token()
        caller.sandbox.fail("html", api=REFRESH)
        await caller.post(REFRESH, {"refresh_token": token["refresh_token"]})
        caller.sandbox.fail("error", api=REFRESH, code="ServiceUnavailable")
        await caller.refresh(token["refresh_token"])
        await caller.refresh(token["refresh_token"], sign_method="md5")
        assert [entry.code for entry in caller.sandbox.ledger.refreshes] == [
            "fault:html",
            "ServiceUnavailable",
            "IncompleteSignature",
        ]
        assert (await caller.refresh(token["refresh_token"]))["code"] == "0"

    async def test_it_holds_no_token(self, caller):
        token = await caller.token()
        renewed = await caller.refresh(token["refresh_token"])
        told = repr(caller.sandbox.ledger) + repr(caller.sandbox.grants.live())
        for secret in (token, renewed):
            assert secret["refresh_token"] not in told
            assert secret["access_token"] not in told
        assert SECRET not in repr(caller.sandbox.apps)

    async def test_it_counts_calls_by_outcome(self, caller):
        await caller.call("/sandbox/echo")
        await caller.call("/sandbox/echo")
        await caller.call("/seller/get")
        assert caller.sandbox.ledger.calls == {
            ("/sandbox/echo", "0"): 2,
            ("/seller/get", "IllegalAccessToken"): 1,
        }


class TestSellers:
    @pytest.mark.parametrize("name", ["T1", "t1", "T10", "../etc", "a/b", "卖家", "x" * 300])
    async def test_any_text_may_name_a_seller(self, name):
        async with SandboxCaller(
            Sandbox(sellers=[name, SandboxSeller("other", "me@example.com")])
        ) as caller:
            token = await caller.token(name)
            assert token["seller_id"] == name
            mine = await caller.call("/seller/get", access_token=token["access_token"])
            assert mine["data"]["seller_id"] == name

    def test_numbered_sellers_never_replace_named_ones(self):
        sandbox = Sandbox(sellers=["1002"])
        sandbox.add_sellers(3)
        assert set(sandbox.sellers) == {"1001", "1002", "1003", "1004"}

    @pytest.mark.parametrize("act", ["authorize", "grant"])
    def test_unknown_parties_are_named(self, act):
        with pytest.raises(ValueError, match="no seller '9'"):
            getattr(Sandbox(), act)("9")
        with pytest.raises(ValueError, match="no app '9'"):
            getattr(Sandbox(), act)("1001", app="9")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("profile", "mars"),
        ("rotation", "sometimes"),
        ("old_access_token", "lingers"),
        ("stage", "live"),
    ],
)
def test_a_setting_that_there_is_not_is_named_with_those_that_there_are(name, value):
    with pytest.raises(ValueError, match=rf"{value}'; there are \w+, \w+"):
        Sandbox(**{name: value})
