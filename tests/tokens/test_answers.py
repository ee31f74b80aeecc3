"""What the gateway may answer to a refresh, and what becomes of the grant."""

import anyio
import pytest
from tokens_helpers import Between, WatchedStore
from tokens_scenario import DAY, LEAD, MONTH, REFRESH, all_told, either_loop, eventually, kinds

import iop_async as iop
from iop_async.calling import Shut


async def prepared(tokens, scenario):
    """A seller whose token is due."""
    token = await tokens.authorize(scenario.code())
    scenario.clock.advance(MONTH - LEAD + 60)
    return token


@pytest.mark.parametrize("missing", [None, ""])
@either_loop
async def test_an_answer_without_a_refresh_token_keeps_the_old_one(scenario, missing):
    """It is what the gateway goes on with."""
    scenario.sandbox.grants.rotation = "keep"
    async with scenario.manager() as tokens:
        old = await prepared(tokens, scenario)
        scenario.sandbox.fail("patch", api=REFRESH, fields={"refresh_token": missing})
        new = await tokens.refresh("1001")
        assert new.refresh_token == old.refresh_token
        assert new.access_token != old.access_token
        assert (await tokens.refresh("1001")).access_token != new.access_token


@pytest.mark.parametrize(
    ("fields", "remove"),
    [
        ({}, ["refresh_expires_in"]),
        ({"refresh_expires_in": "100"}, []),
        ({"refresh_expires_in": str(999 * 86400)}, []),
        ({"expires_in": "abc"}, []),
        ({}, ["expires_in", "seller_id", "user_id"]),
    ],
)
@either_loop
async def test_lifetimes_of_a_refresh_answer_are_read_or_kept(scenario, fields, remove):
    """Lower, higher or absent: never a crash after the refresh token was spent."""
    async with scenario.manager() as tokens:
        old = await prepared(tokens, scenario)
        scenario.sandbox.fail("patch", api=REFRESH, fields=fields, remove=remove)
        new = await tokens.refresh("1001")
        assert new.refresh_token == scenario.live().refresh_token
        assert new.sellers == old.sellers
        if "refresh_expires_in" in remove:
            assert new.refresh_expires_at == old.refresh_expires_at
        elif "refresh_expires_in" in fields:
            left = (new.refresh_expires_at - new.issued_at).total_seconds()
            assert left == int(fields["refresh_expires_in"])


@either_loop
async def test_a_refusal_is_believed_at_the_second_look(scenario):
    """A minute later, and not before: until then nothing is concluded, and nobody is told."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.live().refresh_live = False
        with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken") as caught:
            await tokens.refresh("1001")
        assert caught.value.retryable
        assert 55 < caught.value.retry_after <= 60
        assert await kinds(events, 1) == ["refresh_failed"]
        scenario.clock.advance(50)
        await tokens.refresh_due()
        status = await tokens.status("1001")
        assert (status.state, status.attempts, scenario.presented()) == ("live", 1, 1)
        scenario.clock.advance(11)
        assert list((await tokens.refresh_due()).skipped) == ["1001"]
        assert await kinds(events, 1) == ["reauthorize"]
        assert (await tokens.status("1001")).state == "reauthorize"
        assert scenario.presented() == 2


@either_loop
async def test_a_refusal_that_passes_costs_nobody_an_authorization(scenario):
    """The second look finds the refresh token accepted; no word of the first is left."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.sandbox.fail("error", code="IllegalRefreshToken", api=REFRESH)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.refresh("1001")
        scenario.clock.advance(61)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert await kinds(events, 2) == ["refresh_failed", "refreshed"]
        status = await tokens.status("1001")
        assert (status.state, status.attempts, status.reason) == ("live", 0, "")


@either_loop
async def test_a_believed_refusal_is_left_alone_but_for_who_asks_by_hand(scenario):
    """By ticks, calls, batches and restarts; the access token is served; one event."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.live().refresh_live = False
        for _ in range(2):
            await tokens.refresh_due()
            scenario.clock.advance(61)
        assert await kinds(events, 2) == ["refresh_failed", "reauthorize"]
        await tokens.token("1001")
        await tokens.refresh_due()
        assert list((await tokens.refresh_many(["1001"])).skipped) == ["1001"]
        assert scenario.presented() == 2
        with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken") as caught:
            await tokens.refresh("1001")
        assert not caught.value.retryable
        assert scenario.presented() == 3
        reasons = [event.reason for event in await all_told(tokens, events)]
        assert reasons == ["48 hours"]  # of the access token
    async with scenario.manager(keeper=True) as tokens:
        await tokens.token("1001")
        scenario.clock.advance(LEAD)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
        async with scenario.manager() as other:
            with pytest.raises(iop.ReauthorizationRequired):
                await other.token("1001")
            await other.refresh_many(["1001"])
            await other.refresh_due()
        assert scenario.presented() == 3
        await tokens.authorize(scenario.code())
        await tokens.token("1001")


@either_loop
async def test_a_believed_refusal_that_was_wrong_is_mended_by_hand(scenario):
    """The refresh token is accepted after all: the grant is live, as if nothing had been."""
    async with scenario.manager() as tokens:
        await prepared(tokens, scenario)
        scenario.sandbox.fail("error", code="IllegalRefreshToken", api=REFRESH, times=2)
        for _ in range(2):
            await tokens.refresh_due()
            scenario.clock.advance(61)
        assert (await tokens.status("1001")).state == "reauthorize"
        assert (await tokens.refresh("1001")).access_token == scenario.live().access_token
        assert (await tokens.status("1001")).state == "live"
        scenario.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


@either_loop
async def test_an_app_of_the_service_market_is_asked_for_the_second_look_and_no_more(scenario):
    """``AUTH_TYPE_UNSUPPORTED``: no retries, no alarm at each tick."""
    app = scenario.sandbox.apps["123456"]
    scenario.sandbox.add_app(type(app)(app.key, app.secret, market_only=True))
    async with scenario.manager(keeper=True) as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        assert await kinds(events, 1) == ["refresh_failed"]
        scenario.clock.advance(61)
        assert await kinds(events, 1) == ["reauthorize"]
        scenario.clock.advance(61)
        await tokens.refresh_due()
        assert (await tokens.status("1001")).state == "reauthorize"
        assert scenario.presented() == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "ServiceUnavailable"},
        {"kind": "status", "status": 503},
    ],
    ids=lambda fault: fault["kind"],
)
@either_loop
async def test_a_passing_trouble_leaves_the_refresh_token_untouched(scenario, fault):
    """A warning while the token is good; tried again later, and then it works."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        old = await prepared(tokens, scenario)
        scenario.sandbox.fail(**fault, api=REFRESH)
        assert (await tokens.token("1001")).access_token == old.access_token
        assert await kinds(events, 1) == ["refresh_failed"]
        status = await tokens.status("1001")
        assert (status.state, status.attempts) == ("live", 1)
        assert status.retry_at > scenario.clock.now()
        scenario.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 429, "retry_after": 40}, {"kind": "ban", "seconds": 40}],
    ids=lambda fault: fault["kind"],
)
@either_loop
async def test_a_ban_of_seconds_is_waited_for_in_line(scenario, fault):
    """The old token is served meanwhile; no failure is told or counted; then it works."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        old = await prepared(tokens, scenario)
        scenario.sandbox.fail(**fault, api=REFRESH)
        assert (await tokens.token("1001")).access_token == old.access_token
        await eventually(lambda: tokens._lifecycle.here._gate.shut_by is Shut.BAN)
        scenario.clock.advance(30)
        assert (await tokens.token("1001")).access_token == old.access_token
        assert scenario.presented() == 1
        scenario.clock.advance(11)
        assert await kinds(events, 1) == ["refreshed"]
        status = await tokens.status("1001")
        assert (status.state, status.attempts) == ("live", 0)
        assert scenario.presented() == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html", "after": False},
        {"kind": "status", "status": 502},
        {"kind": "drop", "after": False},
        {"kind": "reset", "after": False},
        {"kind": "truncate", "after": False},
        {"kind": "empty", "after": False},
    ],
    ids=lambda fault: fault["kind"],
)
@either_loop
async def test_an_ambiguous_refresh_that_was_not_applied_is_recovered_without_a_human(
    scenario, fault
):
    """One probe with the same refresh token, which turns out to be live."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(iop.IopError) as caught:
            await tokens.refresh("1001")
        assert caught.value.may_have_been_applied
        assert await kinds(events, 1) == ["ambiguous"]
        scenario.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert scenario.presented() == 2
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "empty"])
@either_loop
async def test_an_ambiguous_refresh_that_was_applied_ends_in_one_event(scenario, kind):
    """The probe is refused, and so is the second look: the seller must authorize again.

    Nothing is presented after that, and the words say that it was an answer that got lost.
    """
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.sandbox.fail(kind, api=REFRESH)
        with pytest.raises(iop.IopError):
            await tokens.refresh("1001")
        for presented in (2, 3, 3, 3):
            scenario.clock.advance(130)
            await tokens.refresh_due()
            assert scenario.presented() == presented
        told = await all_told(tokens, events)
        kinds_told = [event.kind for event in told]
        assert kinds_told == ["ambiguous", "refresh_failed", "reauthorize", "authorize_by"]
        assert told[2].reason.startswith("the answer to a refresh was lost")


@either_loop
async def test_lost_answers_are_asked_for_ever_more_seldom_until_one_is_definite(scenario):
    """From half a minute to a quarter of an hour, and told of once; ambiguous is not for ever."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("status", status=502, api=REFRESH, times=8)
        with pytest.raises(iop.IopError):
            await tokens.refresh("1001")
        for presented, wait in enumerate([30, 60, 120, 240, 480, 900, 900, 900], start=1):
            status = await tokens.status("1001")
            left = (status.retry_at - scenario.clock.now()).total_seconds()
            assert wait - 5 < left <= wait * 1.2
            assert status.state == ("live" if presented == 1 else "ambiguous")
            scenario.clock.advance(left - 5)
            await tokens.refresh_due()
            assert scenario.sandbox.faults.rules[0].hits == presented
            scenario.clock.advance(6)
            await tokens.refresh_due()
        assert await kinds(events, 2) == ["ambiguous", "refreshed"]
        assert (await tokens.status("1001")).state == "live"
        assert scenario.presented() == 9


@either_loop
async def test_an_ambiguous_grant_is_not_served_beyond_its_end_and_is_left_by_authorizing(scenario):
    """Whoever asks is told when it is tried again."""
    async with scenario.manager() as tokens:
        await prepared(tokens, scenario)
        scenario.sandbox.fail("html", api=REFRESH, times=None)
        for _ in range(2):
            await tokens.refresh_due()
            scenario.clock.advance(40)
        assert (await tokens.status("1001")).state == "ambiguous"
        scenario.clock.advance(LEAD)
        with pytest.raises(iop.IopError):  # it is due, and asked for once more
            await tokens.token("1001")
        with pytest.raises(iop.RefreshAmbiguous) as caught:
            await tokens.token("1001")
        assert caught.value.retryable
        assert caught.value.retry_after > 0
        scenario.sandbox.faults.clear()
        await tokens.authorize(scenario.code())
        assert (await tokens.status("1001")).state == "live"


@pytest.mark.parametrize("scenario", [0.0], ids=["still"], indirect=True)
@either_loop
async def test_a_gateway_that_is_down_for_29_minutes_costs_nobody_a_call(scenario):
    """Every call is served with the old token; tries are spaced; then it recovers."""
    async with scenario.manager() as tokens:
        old = await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 1)
        scenario.sandbox.fail("error", code="ServiceUnavailable", api=REFRESH, times=None)
        for _ in range(29 * 6):
            assert (await tokens.token("1001")).access_token == old.access_token
            await tokens.seller("1001").call("/seller/get")
            await tokens.refresh_due()
            scenario.clock.advance(10)
        assert 8 < scenario.presented() < 60
        scenario.sandbox.faults.clear()
        for _ in range(8):
            scenario.clock.advance(5)
            renewed = await tokens.token("1001")
        assert renewed.access_token != old.access_token, await tokens.status("1001")


@either_loop
async def test_a_wrong_secret_marks_no_seller_and_is_not_tried_for_each(scenario):
    """It is the app's trouble: the first failure holds back the others."""
    scenario.sandbox.add_sellers(200)
    async with scenario.manager() as tokens:
        for seller in scenario.sandbox.sellers:
            await tokens.import_token(
                iop.Token(
                    access_token=f"a{seller}",
                    refresh_token=f"r{seller}",
                    issued_at=scenario.clock.now(),
                    expires_at=scenario.clock.now(),
                    sellers=(iop.Seller(seller_id=seller),),
                )
            )
        scenario.sandbox.apps["123456"] = type(scenario.sandbox.apps["123456"])("123456", "changed")
        report = await tokens.refresh_many(scenario.sandbox.sellers)
        assert len(report.failed) == 203
        assert scenario.sandbox.ledger.calls[REFRESH, "IncompleteSignature"] <= 40
        states = {status.state async for status in tokens.statuses()}
        assert states == {"live"}


@either_loop
async def test_while_no_refresh_can_succeed_serving_costs_the_store_nothing(scenario):
    """Access tokens that are good go out as they are, however many ask for one."""
    store = WatchedStore(scenario.store())
    async with scenario.manager(store) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH - LEAD + 60)
        scenario.sandbox.fail("error", code="IncompleteSignature", api=REFRESH, times=None)
        with pytest.raises(iop.SignatureError):
            await tokens.refresh("1001")
        store.written.clear()
        for _ in range(20):
            await tokens.token("1002")
            await anyio.sleep(0.005)
        assert store.written == []
        scenario.sandbox.faults.rules.clear()
        scenario.clock.advance(10)
        await tokens.token("1002")
        await eventually(lambda: scenario.presented() == 1)


@either_loop
async def test_a_token_of_another_seller_is_kept_aside(scenario):
    """A loud event, and the seller's own grant is not overwritten."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        old = await prepared(tokens, scenario)
        scenario.sandbox.fail("patch", api=REFRESH, fields={"seller_id": "666", "user_id": "666"})
        with pytest.raises(iop.TokenError, match="another seller"):
            await tokens.refresh("1001")
        assert await kinds(events, 1) == ["ambiguous"]
        assert (await tokens.token("1001")).access_token == old.access_token
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("666")
        for _ in range(3):  # its own refresh token was spent: the probe and the second look say so
            scenario.clock.advance(61)
            await tokens.refresh_due()
        assert await kinds(events, 2) == ["refresh_failed", "reauthorize"]
        assert scenario.presented() == 3
        grant = await tokens._vault.load("1001")
        assert grant.token.access_token == old.access_token
        assert [pair.sellers[0].seller_id for pair in grant.candidates] == ["666"]


@either_loop
async def test_a_gateway_that_hands_out_dead_tokens_is_not_asked_in_a_loop(scenario):
    """A second of life, and two on the way: bounded attempts and a typed error."""

    async def late(go_on):
        response = await go_on()
        scenario.clock.advance(2)
        return response

    scenario.sandbox.fail("patch", api=REFRESH, fields={"expires_in": "1"}, times=None)
    transport = Between(late)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        for _ in range(50):
            with pytest.raises(iop.TokenError, match="already at its end") as caught:
                await tokens.token("1001")
            assert caught.value.retry_after > 0
        assert scenario.presented() == 1
    await transport.aclose()


@pytest.mark.parametrize("minutes", [30, 3])
@either_loop
async def test_a_used_or_expired_code_does_not_touch_what_is_stored(scenario, minutes):
    """Typed, and the seller goes on with the grant there is."""
    scenario.sandbox.grants.code_seconds = 60 * minutes
    async with scenario.manager() as tokens:
        code = scenario.code()
        token = await tokens.authorize(code)
        late = scenario.code()
        scenario.clock.advance(60 * minutes + 1)
        for refused in (code, late):
            with pytest.raises(iop.AuthError, match="InvalidCode"):
                await tokens.authorize(refused)
        assert (await tokens.token("1001")).access_token == token.access_token


@either_loop
async def test_short_lived_tokens_are_not_refreshed_at_birth(scenario):
    """Ten seconds of life: at most one refresh in half of it."""
    scenario.sandbox.grants.access_seconds = 10
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        for _ in range(20):
            await tokens.token("1001")
            await tokens.refresh_due()
            scenario.clock.advance(1)
        assert 2 <= scenario.presented() <= 5


@pytest.mark.parametrize("access", [MONTH, DAY])
@either_loop
async def test_warnings_come_once_each_before_a_grant_ends(scenario, access):
    """Fourteen days, seven days, 48 hours, now; however often it is refreshed meanwhile."""
    scenario.sandbox.grants.access_seconds = access
    scenario.sandbox.grants.refresh_seconds = 60 * DAY
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        for _ in range(65 * 2):
            scenario.clock.advance(12 * 3600)
            await tokens.refresh_due()
            await tokens.refresh_due()
        seen = await all_told(tokens, events)
    warnings = [event.reason for event in seen if event.kind == "authorize_by"]
    assert warnings == ["14 days", "7 days", "48 hours"]
    assert [event.reason for event in seen if event.kind == "reauthorize"] == ["now"]
