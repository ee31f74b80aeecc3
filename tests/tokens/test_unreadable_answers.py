"""Answers that are none, and networks that fail: what it means for the refresh token."""

import json

import anyio
import pytest
from attrs import evolve
from tokens_helpers import Between
from tokens_scenario import LEAD, MONTH, REFRESH, either_loop, kinds

import iop_async as iop

PORTAL = b"<html><head><title>Log in</title></head><body>Welcome to our wireless</body></html>"


def instead(status, content, **headers):
    """Something else answers, and the gateway never hears of it."""

    async def answer(_):
        return iop.HttpResponse(status, headers, content)

    return answer


def refused(error):
    async def answer(_):
        raise error

    return answer


async def prepared(tokens, scenario):
    """A seller whose token is due; the pair it has."""
    token = await tokens.authorize(scenario.code())
    scenario.clock.advance(MONTH - LEAD + 60)
    return token


async def pair_of(scenario):
    """The pair in the store, as another process reads it, and the answers kept unread."""
    async with scenario.store() as store:
        record = await store.get(f"123456@{scenario.url.removeprefix('http://')}", "1001")
    body = json.loads(record.body)
    return body["token"]["refresh_token"], body["unread"]


@pytest.mark.parametrize(
    "answer",
    [
        instead(200, PORTAL),
        instead(302, b"", location="http://portal.example/login"),
        instead(511, PORTAL),
        instead(200, b""),
        instead(200, b"\xff\xfe{\x00"),
        instead(200, b"[1, 2]"),
        instead(200, b"null"),
        instead(200, b'{"code":"0"}'),
        instead(200, '{"message": "系统繁忙"}'.encode("gbk")),
    ],
    ids=["portal", "redirect", "511", "empty", "utf-16", "list", "null", "no-token", "gbk"],
)
@either_loop
async def test_what_is_no_answer_leaves_the_pair_untouched(scenario, answer):
    """The old pair stays stored and served, and works once the gateway itself answers again."""
    transport = Between(None)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        old = await prepared(tokens, scenario)
        transport.answer = answer
        with pytest.raises(iop.ProtocolError):
            await tokens.refresh("1001")
        assert (await pair_of(scenario))[0] == old.refresh_token
        assert (await tokens.token("1001")).access_token == old.access_token
        await tokens.seller("1001").call("/seller/get")
        transport.answer = None
        scenario.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token
    await transport.aclose()


@either_loop
async def test_a_spoiled_success_is_ambiguous_and_kept_as_it_came(scenario):
    """It may hold the only copy of the pair: a person can still read it."""

    async def answer(go_on):
        response = await go_on()
        return evolve(response, content=response.content[:-9])

    transport = Between(answer)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        events = tokens.events()
        old = await prepared(tokens, scenario)
        with pytest.raises(iop.ProtocolError) as caught:
            await tokens.refresh("1001")
        assert caught.value.may_have_been_applied
        assert await kinds(events, 1) == ["ambiguous"]
        kept, (unread,) = await pair_of(scenario)
        assert kept == old.refresh_token
        assert scenario.live().refresh_token in unread
    await transport.aclose()


@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        (None, lambda content: b"\xff" + content),
        (None, lambda content: b"callback(" + content + b");"),
        (None, lambda content: json.dumps(content.decode()).encode()),
        ("control_characters", lambda content: content),
    ],
    ids=["byte", "JSONP", "text", "control characters"],
)
@either_loop
async def test_a_pair_that_stands_readable_in_an_odd_answer_is_the_successor(
    scenario, fault, spoil
):
    """It is stored, and no ambiguity is reported."""

    async def answer(go_on):
        response = await go_on()
        return evolve(response, content=spoil(response.content))

    transport = Between(answer)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        if fault:
            scenario.sandbox.fail(fault, api=REFRESH)
        await tokens.refresh("1001")
        assert await kinds(events, 1) == ["refreshed"]
        assert await pair_of(scenario) == (scenario.live().refresh_token, [])
    await transport.aclose()


@either_loop
async def test_an_answer_in_another_charset_is_read_all_the_same(scenario):
    """Where the names in it are all that suffers."""

    async def answer(go_on):
        response = await go_on()
        body = json.loads(response.content) | {"account": "商家"}
        return evolve(response, content=json.dumps(body, ensure_ascii=False).encode("utf-16"))

    transport = Between(answer)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        await prepared(tokens, scenario)
        assert (await tokens.refresh("1001")).refresh_token == scenario.live().refresh_token
    await transport.aclose()


@either_loop
async def test_nobody_at_the_address_leaves_the_refresh_token_untouched(scenario):
    """A refused connection: nothing was sent, so it is tried again and is no ambiguity."""
    async with scenario.manager(scope="one") as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        served = tokens._client.gateway
        tokens._client.gateway = iop.gateways.Iop("http://127.0.0.1:9")
        with pytest.raises(iop.TransportError) as caught:
            await tokens.refresh("1001")
        assert not caught.value.may_have_been_applied
        assert await kinds(events, 1) == ["refresh_failed"]
        tokens._client.gateway = served
        scenario.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
    assert scenario.presented() == 1


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize(
    "error",
    [
        iop.TransportError("no connection", may_have_been_applied=False),
        iop.TransportTimeout("no connection came free", may_have_been_applied=False),
    ],
    ids=["name resolution", "pool"],
)
@either_loop
async def test_what_was_never_sent_may_fail_any_number_of_times(scenario, error, times):
    """Names that do not resolve, no free connection: each time a warning, never an ambiguity."""
    transport = Between(None)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        transport.answer = refused(error)
        for _ in range(times):
            await tokens.refresh_due()
            scenario.clock.advance(130)
        assert await kinds(events, times) == ["refresh_failed"] * times
        transport.answer = None
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert scenario.presented() == 1
    await transport.aclose()


@pytest.mark.parametrize("applied", [False, True])
@either_loop
async def test_an_answer_that_does_not_come_in_time_is_ambiguous(scenario, applied):
    """Whether the gateway did the work shows when the refresh token is presented once more."""
    timeouts = iop.Timeouts(read=0.2)
    transport = iop.HttpxTransport(timeouts=timeouts)
    async with scenario.manager(client=scenario.client(transport=transport)) as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        if applied:
            scenario.sandbox.fail("latency", api=REFRESH, seconds=1)
        else:
            scenario.sandbox.fail("latency", api=REFRESH, seconds=1, after=False)
            scenario.sandbox.fail("status", api=REFRESH, status=504)
        with pytest.raises(iop.TransportTimeout) as caught:
            await tokens.refresh("1001")
        assert caught.value.may_have_been_applied
        assert await kinds(events, 1) == ["ambiguous"]
        await anyio.sleep(1)
        scenario.clock.advance(130)
        await tokens.refresh_due()
        assert await kinds(events, 1) == ["refresh_failed" if applied else "refreshed"]
        assert scenario.presented() == 2
        scenario.clock.advance(61)
        await tokens.refresh_due()
        if applied:
            assert await kinds(events, 1) == ["reauthorize"]
    assert scenario.presented() == 2 + applied
    await transport.aclose()


@pytest.mark.parametrize("status", [502, 504])
@either_loop
async def test_a_proxy_s_words_do_not_say_what_the_gateway_did(scenario, status):
    """502 and 504 are ambiguous; one more presentation finds the refresh token live."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await prepared(tokens, scenario)
        scenario.sandbox.fail("status", api=REFRESH, status=status)
        with pytest.raises(iop.IopError) as caught:
            await tokens.refresh("1001")
        assert caught.value.may_have_been_applied
        scenario.clock.advance(130)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert await kinds(events, 2) == ["ambiguous", "refreshed"]


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"kind": "status", "status": 503, "retry_after": 40}, 40),
        ({"kind": "status", "status": 429, "retry_after": 400}, 400),
        ({"kind": "ban", "seconds": 400}, 400),
        ({"kind": "error", "code": "ServiceUnavailable"}, 1),
    ],
    ids=["503", "429", "ApiCallLimit", "ServiceUnavailable"],
)
@pytest.mark.parametrize("scenario", [0.0], ids=["still"], indirect=True)
@either_loop
async def test_a_wait_that_the_gateway_names_is_kept(scenario, fault, seconds):
    """No refresh of the seller before it is over; the first after it works."""
    async with scenario.manager() as tokens:
        await prepared(tokens, scenario)
        scenario.sandbox.fail(**fault, api=REFRESH)
        told_at = scenario.clock.now()
        with pytest.raises(iop.ApiError) as caught:
            await tokens.refresh("1001")
        assert not caught.value.may_have_been_applied
        status = await tokens.status("1001")
        assert (status.retry_at - told_at).total_seconds() >= seconds
        presented = scenario.presented()
        for _ in range(5):
            await tokens.refresh_due()
            await tokens.token("1001")
        assert scenario.presented() == presented
        scenario.clock.advance((status.retry_at - scenario.clock.now()).total_seconds() + 1)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert scenario.presented() == presented + 1
