"""What the gateway may answer to a refresh, and what becomes of the grant."""

import anyio
import pytest
from tokens_hands import WatchedStore
from tokens_world import DAY, LEAD, MONTH, REFRESH, either_loop, eventually, kinds

import iop_async as iop


async def prepared(tokens, world):
    """A seller whose token is due."""
    token = await tokens.authorize(world.code())
    world.clock.advance(MONTH - LEAD + 60)
    return token


@pytest.mark.parametrize("missing", [None, ""])
@either_loop
async def test_an_answer_without_a_refresh_token_keeps_the_old_one(world, missing):
    """It is what the gateway goes on with."""
    world.sandbox.grants.rotation = "keep"
    async with world.manager() as tokens:
        old = await prepared(tokens, world)
        world.sandbox.fail("patch", api=REFRESH, fields={"refresh_token": missing})
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
        ({}, ["expires_in", "seller_Id", "user_Id"]),
    ],
)
@either_loop
async def test_lifetimes_of_a_refresh_answer_are_read_or_kept(world, fields, remove):
    """Lower, higher or absent: never a crash after the refresh token was spent."""
    async with world.manager() as tokens:
        old = await prepared(tokens, world)
        world.sandbox.fail("patch", api=REFRESH, fields=fields, remove=remove)
        new = await tokens.refresh("1001")
        assert new.refresh_token == world.live().refresh_token
        assert new.sellers == old.sellers
        if "refresh_expires_in" in remove:
            assert new.refresh_expires_at == old.refresh_expires_at
        elif "refresh_expires_in" in fields:
            left = (new.refresh_expires_at - new.issued_at).total_seconds()
            assert left == int(fields["refresh_expires_in"])


@either_loop
async def test_a_refused_refresh_token_is_never_presented_again(world):
    """Permanent, for ticks, calls and restarts; the access token is served; one event."""
    async with world.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, world)
        world.live().refresh_live = False
        with pytest.raises(iop.AuthError, match="IllegalRefreshToken"):
            await tokens.refresh("1001")
        assert await kinds(events, 1) == ["reauthorize"]
        await tokens.token("1001")
        await tokens.refresh_due()
        with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken"):
            await tokens.refresh("1001")
    async with world.manager(keeper=True) as tokens:
        await tokens.token("1001")
        world.clock.advance(LEAD)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
        async with world.manager() as other:
            with pytest.raises(iop.ReauthorizationRequired):
                await other.refresh("1001")
            await other.refresh_due()
        assert world.presented() == 1
        await tokens.authorize(world.code())
        await tokens.token("1001")


@either_loop
async def test_an_app_of_the_service_market_is_not_asked_twice(world):
    """``AUTH_TYPE_UNSUPPORTED``: no retries, no alarm at each tick."""
    app = world.sandbox.apps["123456"]
    world.sandbox.add_app(type(app)(app.key, app.secret, market_only=True))
    async with world.manager(keeper=True) as tokens:
        events = tokens.events()
        await prepared(tokens, world)
        assert await kinds(events, 1) == ["reauthorize"]
        world.clock.advance(60)
        await tokens.refresh_due()
        assert (await tokens.status("1001")).state == "reauthorize"
        assert world.presented() == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "ServiceUnavailable"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 3},
        {"kind": "ban", "seconds": 3},
    ],
    ids=lambda fault: fault["kind"],
)
@either_loop
async def test_a_passing_trouble_leaves_the_refresh_token_untouched(world, fault):
    """A warning while the token is good; tried again later, and then it works."""
    async with world.manager() as tokens:
        events = tokens.events()
        old = await prepared(tokens, world)
        world.sandbox.fail(**fault, api=REFRESH)
        assert (await tokens.token("1001")).access_token == old.access_token
        assert await kinds(events, 1) == ["refresh_failed"]
        status = await tokens.status("1001")
        assert (status.state, status.attempts) == ("live", 1)
        assert status.retry_at > world.clock.now()
        world.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)


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
async def test_an_ambiguous_refresh_that_was_not_applied_is_recovered_without_a_human(world, fault):
    """One probe with the same refresh token, which turns out to be live."""
    async with world.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, world)
        world.sandbox.fail(**fault, api=REFRESH)
        with pytest.raises(iop.IopError) as caught:
            await tokens.refresh("1001")
        assert caught.value.may_have_been_applied
        assert await kinds(events, 1) == ["ambiguous"]
        world.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert world.presented() == 2
        assert (await tokens.token("1001")).refresh_token == world.live().refresh_token


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "empty", "control_characters"])
@either_loop
async def test_an_ambiguous_refresh_that_was_applied_ends_in_one_event(world, kind):
    """The probe is refused: the seller must authorize again, and nothing is presented more."""
    async with world.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, world)
        world.sandbox.fail(kind, api=REFRESH)
        with pytest.raises(iop.IopError):
            await tokens.refresh("1001")
        world.clock.advance(130)
        await tokens.refresh_due()
        assert await kinds(events, 2) == ["ambiguous", "reauthorize"]
        world.clock.advance(130)
        await tokens.refresh_due()
        assert world.presented() == 2


@either_loop
async def test_two_lost_answers_are_reported_and_never_guessed_on(world):
    """The state stays ambiguous until the seller authorizes again."""
    async with world.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, world)
        world.sandbox.fail("html", api=REFRESH, times=None)
        for _ in range(5):
            await tokens.refresh_due()
            world.clock.advance(130)
        assert world.presented() == 2
        assert await kinds(events, 2) == ["ambiguous", "ambiguous"]
        assert (await tokens.status("1001")).state == "ambiguous"
        world.clock.advance(LEAD)
        with pytest.raises(iop.RefreshAmbiguous):
            await tokens.token("1001")
        world.sandbox.faults.clear()
        await tokens.authorize(world.code())
        assert (await tokens.status("1001")).state == "live"


@either_loop
async def test_a_gateway_that_is_down_for_29_minutes_costs_nobody_a_call(world):
    """Every call is served with the old token; tries are spaced; then it recovers."""
    async with world.manager() as tokens:
        old = await tokens.authorize(world.code())
        world.clock.advance(MONTH - LEAD + 1)
        world.sandbox.fail("error", code="ServiceUnavailable", api=REFRESH, times=None)
        for _ in range(29 * 6):
            assert (await tokens.token("1001")).access_token == old.access_token
            await tokens.seller("1001").call("/seller/get")
            await tokens.refresh_due()
            world.clock.advance(10)
        assert 10 < world.presented() < 60
        world.sandbox.faults.clear()
        for _ in range(8):
            world.clock.advance(5)
            renewed = await tokens.token("1001")
        assert renewed.access_token != old.access_token, await tokens.status("1001")


@either_loop
async def test_a_wrong_secret_marks_no_seller_and_is_not_tried_for_each(world):
    """It is the app's trouble: the first failure holds back the others."""
    world.sandbox.add_sellers(200)
    async with world.manager() as tokens:
        for seller in world.sandbox.sellers:
            await tokens.import_token(
                iop.Token(
                    access_token=f"a{seller}",
                    refresh_token=f"r{seller}",
                    issued_at=world.clock.now(),
                    expires_at=world.clock.now(),
                    sellers=(iop.Seller(seller_id=seller),),
                )
            )
        world.sandbox.apps["123456"] = type(world.sandbox.apps["123456"])("123456", "changed")
        report = await tokens.refresh_many(world.sandbox.sellers)
        assert len(report.failed) == 203
        assert world.sandbox.ledger.calls[REFRESH, "IncompleteSignature"] <= 40
        states = {status.state async for status in tokens.statuses()}
        assert states == {"live"}


@either_loop
async def test_while_no_refresh_can_succeed_serving_costs_the_store_nothing(world):
    """Access tokens that are good go out as they are, however many ask for one."""
    store = WatchedStore(world.store())
    async with world.manager(store) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
        world.clock.advance(MONTH - LEAD + 60)
        world.sandbox.fail("error", code="IncompleteSignature", api=REFRESH, times=None)
        with pytest.raises(iop.SignatureError):
            await tokens.refresh("1001")
        store.written.clear()
        for _ in range(20):
            await tokens.token("1002")
            await anyio.sleep(0.005)
        assert store.written == []
        world.sandbox.faults.rules.clear()
        world.clock.advance(10)
        await tokens.token("1002")
        await eventually(lambda: world.presented() == 1)


@either_loop
async def test_a_token_of_another_seller_is_kept_aside(world):
    """A loud event, and the seller's own grant is not overwritten."""
    async with world.manager() as tokens:
        events = tokens.events()
        old = await prepared(tokens, world)
        world.sandbox.fail("patch", api=REFRESH, fields={"seller_Id": "666", "user_Id": "666"})
        with pytest.raises(iop.TokenError, match="another seller"):
            await tokens.refresh("1001")
        assert await kinds(events, 1) == ["reauthorize"]
        assert (await tokens.token("1001")).access_token == old.access_token
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("666")


@either_loop
async def test_a_gateway_that_hands_out_dead_tokens_is_not_asked_in_a_loop(world):
    """Bounded attempts and a typed error."""
    world.sandbox.fail("patch", api=REFRESH, fields={"expires_in": "0"}, times=None)
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH + 1)
        for _ in range(50):
            with pytest.raises(iop.TokenError, match="already at its end") as caught:
                await tokens.token("1001")
            assert caught.value.retry_after > 0
        assert world.presented() == 1


@pytest.mark.parametrize("minutes", [30, 3])
@either_loop
async def test_a_used_or_expired_code_does_not_touch_what_is_stored(world, minutes):
    """Typed, and the seller goes on with the grant there is."""
    world.sandbox.grants.code_seconds = 60 * minutes
    async with world.manager() as tokens:
        code = world.code()
        token = await tokens.authorize(code)
        late = world.code()
        world.clock.advance(60 * minutes + 1)
        for refused in (code, late):
            with pytest.raises(iop.AuthError, match="InvalidCode"):
                await tokens.authorize(refused)
        assert (await tokens.token("1001")).access_token == token.access_token


@either_loop
async def test_short_lived_tokens_are_not_refreshed_at_birth(world):
    """Ten seconds of life: at most one refresh in half of it."""
    world.sandbox.grants.access_seconds = 10
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        for _ in range(20):
            await tokens.token("1001")
            await tokens.refresh_due()
            world.clock.advance(1)
        assert 2 <= world.presented() <= 5


@pytest.mark.parametrize("access", [MONTH, DAY])
@either_loop
async def test_warnings_come_once_each_before_a_grant_ends(world, access):
    """Fourteen days, seven days, 48 hours, now; however often it is refreshed meanwhile."""
    world.sandbox.grants.access_seconds = access
    world.sandbox.grants.refresh_seconds = 60 * DAY
    async with world.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(world.code())
        for _ in range(100 * 4):
            world.clock.advance(6 * 3600)
            await tokens.refresh_due()
            await tokens.refresh_due()
        tokens._announcer.close()
        seen = [event async for event in events]
    warnings = [event.reason for event in seen if event.kind == "authorize_by"]
    assert warnings == ["14 days", "7 days", "48 hours"]
    assert [event.reason for event in seen if event.kind == "reauthorize"] == ["now"]
