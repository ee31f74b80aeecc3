"""A ban of the app holds for calls and refreshes alike, whoever meets it."""

import pytest
from tokens_scenario import APP, either_loop

import iop_async as iop

API = "/seller/get"
REFRESH = "/auth/token/refresh"


def refused(scenario, api):
    """How often the gateway refused a call for the app's limit."""
    return scenario.sandbox.ledger.calls[api, "AppCallLimit"]


@either_loop
async def test_a_ban_that_a_call_met_holds_refreshes_up(scenario):
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("ban", seconds=2, app=APP.key)
        with pytest.raises(iop.Throttled):
            await tokens.seller("1001").call(API, timeout=0.5)
        await tokens.refresh("1001")
        assert refused(scenario, API) == 1
        assert refused(scenario, REFRESH) == 0


@either_loop
async def test_a_ban_that_a_refresh_met_holds_calls_up(scenario):
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("ban", seconds=2, app=APP.key)
        await tokens.refresh("1001")
        assert refused(scenario, REFRESH) == 1
        await tokens.seller("1001").call(API)
        scenario.sandbox.fail("ban", seconds=300, app=APP.key)
        with pytest.raises(iop.Throttled):
            await tokens.seller("1001").call(API)
        with pytest.raises(iop.Throttled):
            await tokens.refresh("1001")
        assert refused(scenario, API) == 1
        assert refused(scenario, REFRESH) == 1
