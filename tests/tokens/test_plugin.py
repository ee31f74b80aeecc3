"""The published fixtures, in suites of either kind."""

import anyio

pytest_plugins = ["pytester"]

SUITE = """
import pytest
import iop_async as iop

@pytest.mark.{mark}
async def test_a_month_passes(iop_sandbox, iop_client, iop_tokens, iop_clock):
    reply = await iop_client.call("/sandbox/echo", {{"a": 1}})
    assert reply.data["params"] == {{"a": "1"}}
    async with iop_tokens as tokens:
        events = tokens.events()
        await tokens.authorize(iop_sandbox.authorize("1001"))
        iop_clock.advance(30 * 86400 - 600)
        assert (await anext(events)).kind == "refreshed"
        live = iop_sandbox.grants.live_pair("123456", "1001")
        assert (await tokens.token("1001")).access_token == live.access_token
"""


def test_in_a_suite_of_pytest_asyncio(pytester):
    """Strict mode too."""
    pytester.makepyfile(SUITE.format(mark="asyncio"))
    result = pytester.runpytest_subprocess(
        "-q", "-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"
    )
    result.assert_outcomes(passed=1)


def test_in_a_suite_of_anyio(pytester):
    """Under asyncio and trio."""
    pytester.makepyfile(SUITE.format(mark="anyio"))
    result = pytester.runpytest_subprocess("-q", "-p", "no:asyncio")
    result.assert_outcomes(passed=2)


def test_in_a_plain_test(iop_client):
    """With an event loop of one's own."""

    async def main():
        return (await iop_client.call("/sandbox/echo", {"a": 1})).data["params"]

    assert anyio.run(main) == {"a": "1"}


SESSION = """
import pytest
import iop_async as iop

@pytest.fixture(scope="session")
async def tokens():
    client = iop.Client(iop.App("1", "s"), iop.gateways.ALIBABA)
    async with iop.TokenManager(client, iop.stores.MemoryStore()) as tokens:
        yield tokens

{mark}
async def test_a_seller_is_asked_for(tokens):
    with pytest.raises(iop.ReauthorizationRequired):
        await tokens.token("1001")
"""


def test_a_manager_of_another_loop_scope_fails_with_words_and_does_not_hang(pytester):
    """A session's fixture and a function's test have different event loops in pytest-asyncio."""
    pytester.makepyfile(SESSION.format(mark=""))
    result = pytester.runpytest_subprocess("-q", "-o", "asyncio_mode=auto", timeout=120)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: *in another event loop*one loop_scope*"])


def test_a_manager_of_the_tests_own_loop_scope_serves_them(pytester):
    """As the words advise."""
    pytester.makepyfile(SESSION.format(mark='@pytest.mark.asyncio(loop_scope="session")'))
    result = pytester.runpytest_subprocess("-q", "-o", "asyncio_mode=auto", timeout=120)
    result.assert_outcomes(passed=1)
