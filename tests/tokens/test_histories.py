"""Random histories of manager, store, gateway and clock, with faults; judged after every step."""

import json
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, digest, running
from iop_async.stores import SQLiteStore
from iop_async.testing._clock import MovableClock

APP = iop.App("123456", "helloworld")
SELLERS = ("1001", "1002", "1003")
REFRESH = "/auth/token/refresh"
DAY = 86400


class FailingStore:
    """A store that can be out of order, and remembers every intent that was written."""

    def __init__(self, store):
        self._store = store
        self.path = store.path
        self.fails = "nothing"
        self.intents = Counter()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def put(self, record, *, release=None):
        body = json.loads(record.body)
        if self.fails == "everything" or (self.fails == "outcomes" and not body["intent"]):
            raise iop.StoreError("out of order")
        stored = await self._store.put(record, release=release)
        if body["intent"]:
            self.intents[digest(body["token"]["refresh_token"])] += 1
        return stored


class PatientClock(MovableClock):
    """One on which whoever waits has waited."""

    async def sleep(self, seconds):
        self.advance(seconds)
        await anyio.sleep(0)  # or nobody could end who sleeps again and again


class Histories(RuleBasedStateMachine):
    """One app, three sellers, one store on disk."""

    def __init__(self):
        super().__init__()
        self.resources = ExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.resources.callback(shutil.rmtree, self.folder)
        self.clock = PatientClock(speed=0)
        self.sandbox = Sandbox(
            apps=[SandboxApp(APP.key, APP.secret)], sellers=SELLERS, now=self.clock.now
        )
        self.url = self.resources.enter_context(running(self.sandbox))
        self.portal = self.resources.enter_context(start_blocking_portal())
        self.store = FailingStore(SQLiteStore(self.folder / "tokens.db"))
        self.tokens = self.client = None
        self.bans = 0
        self.open(drain_seconds=5)

    def open(self, drain_seconds):
        self.client = iop.Client(APP, iop.gateways.Iop(self.url), now=self.clock.now)
        self.tokens = iop.TokenManager(
            self.client,
            self.store,
            clock=self.clock,
            keeper=False,
            lease_seconds=0.05,
            drain_seconds=drain_seconds,
            scope="histories",
        )
        self.portal.call(self.tokens.__aenter__)

    def close(self):
        self.portal.call(self.tokens.aclose)
        self.portal.call(self.client.aclose)

    def attempt(self, work, *arguments):
        """Do something that may fail in a way that users are told of."""

        async def limited():
            with anyio.fail_after(30):
                return await work(*arguments)

        try:
            return self.portal.call(limited)
        except iop.IopError:
            return None

    @rule(seller=st.sampled_from(SELLERS))
    def authorize(self, seller):
        self.attempt(self.tokens.authorize, self.sandbox.authorize(seller))

    @rule(seconds=st.sampled_from([1, 60, 1700, 1900, DAY, 29 * DAY, 30 * DAY, 100 * DAY]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule(seller=st.sampled_from(SELLERS))
    def ask_for_the_token(self, seller):
        token = self.attempt(self.tokens.token, seller)
        if token is not None and token.expires_at is not None:
            assert token.expires_at > self.clock.now()

    @rule(seller=st.sampled_from(SELLERS))
    def refresh(self, seller):
        self.attempt(self.tokens.refresh, seller)

    @rule(seller=st.sampled_from(SELLERS))
    def call(self, seller):
        self.attempt(self.tokens.seller(seller).call, "/seller/get")

    @rule()
    def refresh_due(self):
        self.attempt(self.tokens.refresh_due)

    @rule(seller=st.sampled_from(SELLERS))
    def forget(self, seller):
        if self.store.fails == "nothing":
            self.attempt(self.tokens.forget, seller)

    @rule(kind=st.sampled_from(["drop", "reset", "truncate", "empty", "html"]), after=st.booleans())
    def lose_an_answer(self, kind, after):
        self.sandbox.fail(kind, after=after, api=REFRESH)

    @rule(code=st.sampled_from(["ServiceUnavailable", "ServiceTimeout", "ApiCallLimit", "1000"]))
    def be_in_trouble(self, code):
        self.sandbox.fail("error", code=code, api=REFRESH)
        self.bans += code == "ApiCallLimit"

    @rule(fails=st.sampled_from(["nothing", "everything", "outcomes", "outcomes"]))
    def break_or_mend_the_store(self, fails):
        self.store.fails = fails

    @rule()
    def restart(self):
        self.close()
        self.open(drain_seconds=5)

    @rule(seller=st.sampled_from(SELLERS))
    def restart_in_the_middle_of_a_refresh(self, seller):
        async def begin():
            with anyio.move_on_after(0.01):
                await self.tokens.refresh(seller)

        self.sandbox.fail("latency", seconds=0.05, api=REFRESH)
        self.tokens._lifecycle._running._drain_seconds = 0
        self.attempt(begin)
        self.close()
        anyio.run(anyio.sleep, 0.1)
        self.open(drain_seconds=5)

    @rule()
    def wait_for_a_lease(self):
        anyio.run(anyio.sleep, 0.06)

    @invariant()
    def no_live_grant_is_lost(self):
        for seller in SELLERS:
            live = self.sandbox.grants.live_pair(APP.key, seller)
            grant = self.attempt(self.tokens._vault.load, seller)
            if live is None or grant is None:
                continue
            is_live = grant.token.refresh_token == live.refresh_token
            is_reported = grant.state != "live" or grant.intent is not None
            is_newer_code = live.generation > 0 and not self.was_refreshed(live)
            assert is_live or is_reported or is_newer_code, (seller, grant)

    def was_refreshed(self, live):
        """Whether the live pair came of a refresh, and not of a code whose answer was lost."""
        return any(
            entry.accepted
            and entry.seller == live.seller_id
            and entry.generation == live.generation - 1
            for entry in self.sandbox.ledger.refreshes
        )

    @invariant()
    def nothing_is_presented_without_an_intent(self):
        """What a ban refused is not spent: it is presented once more under the same intent."""
        presented = Counter(entry.token for entry in self.sandbox.ledger.refreshes)
        for token, times in presented.items():
            assert times <= self.store.intents[token] + self.bans

    def teardown(self):
        self.close()
        self.portal.call(self.store.aclose)
        self.resources.close()


FAST = settings(
    max_examples=20,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)

TestHistories = Histories.TestCase
TestHistories.settings = FAST


@pytest.mark.drill
class TestManyHistories(Histories.TestCase):
    """The same, for longer."""

    settings = settings(FAST, max_examples=120, stateful_step_count=40)
