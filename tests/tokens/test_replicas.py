"""Stores that answer with what was true a while ago, and writes that come in between."""

import anyio
import pytest
from attrs import evolve
from tokens_helpers import Between
from tokens_scenario import LEAD, MONTH, REFRESH, each_store, either_loop

import iop_async as iop
from iop_async.stores import MemoryStore
from iop_async.tokens._grant_json import from_record


class Behind:
    """A store some of whose answers come from a replica that has not followed yet.

    Args:
        stale: the names of the methods that the replica answers.
    """

    def __init__(self, store, stale):
        self._store = store
        self.path = getattr(store, "path", None)
        self._stale = stale
        self.seen = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def get(self, scope, seller):
        if "get" in self._stale and self.seen is not None:
            return self.seen
        return await self._store.get(scope, seller)

    async def lease(self, scope, seller, *, holder, seconds):
        leased = await self._store.lease(scope, seller, holder=holder, seconds=seconds)
        return self.seen if "lease" in self._stale and self.seen and leased else leased

    async def claim(self, scope, *, due_by, limit, holder, seconds):
        claim = self._store.claim
        claimed = await claim(scope, due_by=due_by, limit=limit, holder=holder, seconds=seconds)
        return [self.seen] if "claim" in self._stale and self.seen else claimed


@each_store
async def test_a_refresh_token_that_a_replica_still_shows_is_not_presented(shared):
    """The lease is the primary's, and shows what another host has made of it."""
    store = Behind(shared.store(), {"get"})
    async with shared.manager() as fresh, shared.manager(store) as stale:
        await fresh.authorize(shared.code())
        store.seen = await fresh._vault._store.get(fresh.scope, "1001")
        shared.clock.advance(MONTH + 60)
        new = await fresh.refresh("1001")
        assert (await stale.token("1001")).access_token == new.access_token
        assert (await stale.refresh_due()).refreshed == ()
    assert shared.presented() == 1


@pytest.mark.parametrize("ask", ["refresh", "refresh_due"])
@each_store
async def test_a_lease_that_shows_what_was_true_before_presents_nothing(shared, ask):
    """Such as after a failover that lost a write: the intent is refused, and so is the caller."""
    store = Behind(shared.store(), {"get", "lease", "claim"})
    async with shared.manager() as fresh, shared.manager(store) as stale:
        await fresh.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)
        store.seen = await fresh._vault._store.get(fresh.scope, "1001")
        new = await fresh.refresh("1001")
        if ask == "refresh":
            with pytest.raises(iop.StaleRecord):
                await stale.refresh("1001")
        else:
            assert list((await stale.refresh_due()).failed) == ["1001"]
        assert shared.presented() == 1
        store.seen = None
        assert (await stale.token("1001")).access_token == new.access_token


@each_store
async def test_a_store_that_went_back_in_time_is_given_the_newer_pair_again(shared, caplog):
    """A host that has seen the newer one does not present the spent one, and says so."""
    async with shared.manager() as tokens:
        await tokens.authorize(shared.code())
        store = tokens._vault._store
        old = await store.get(tokens.scope, "1001")
        new = await tokens.refresh("1001")
        await store.remove(tokens.scope, "1001")
        await store.put(evolve(old, revision=0))
        assert (await tokens.token("1001")).access_token == new.access_token
        newer = await tokens.refresh("1001")
        assert newer.refresh_token == shared.live().refresh_token
    assert "has an older token of seller 1001 than before" in caplog.text
    async with shared.manager() as other:
        assert (await other.token("1001")).access_token == newer.access_token
    assert shared.presented() == 2


class Interrupted:
    """A store that lets somebody do something right after a lease was given."""

    def __init__(self, store):
        self._store = store
        self.path = getattr(store, "path", None)
        self.then = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def _go_on(self):
        then, self.then = self.then, None
        if then is not None:
            await then()

    async def lease(self, *names, **terms):
        leased = await self._store.lease(*names, **terms)
        if terms["seconds"]:
            await self._go_on()
        return leased

    async def claim(self, *names, **terms):
        claimed = await self._store.claim(*names, **terms)
        await self._go_on()
        return claimed


@pytest.mark.parametrize("ask", ["refresh", "refresh_due"])
@each_store
async def test_who_asks_for_a_refresh_without_a_lease_does_not_make_it_fail(shared, ask):
    """A follower's wish comes between the lease and the intent: the peer reads again."""
    store = Interrupted(shared.store())
    async with (
        shared.manager(store) as peer,
        shared.manager(role="follower") as follower,
        anyio.create_task_group() as tasks,
    ):
        await peer.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)
        served = []

        async def wish():
            async def follow():
                served.append((await follower.refresh("1001")).refresh_token)

            tasks.start_soon(follow)
            while (await peer._vault.load("1001")).wanted_at is None:
                await anyio.sleep(0.01)

        store.then = wish
        if ask == "refresh":
            await peer.refresh("1001")
        else:
            assert (await peer.refresh_due()).refreshed == ("1001",)
        assert (await peer.status("1001")).generation == 2
    assert served == [shared.live().refresh_token]
    assert shared.presented() == 1


@pytest.mark.parametrize("ask", ["refresh", "refresh_due"])
@each_store
async def test_an_authorization_between_lease_and_intent_is_the_answer(shared, ask):
    """What it replaced is not presented any more."""
    store = Interrupted(shared.store())
    async with shared.manager(store) as peer, shared.manager() as other:
        await peer.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)

        async def approve():
            await other.authorize(shared.code())

        store.then = approve
        await getattr(peer, ask)(*["1001"] * (ask == "refresh"))
        assert (await peer.token("1001")).refresh_token == shared.live().refresh_token
    assert shared.presented() == 0
    assert shared.sandbox.ledger.calls[REFRESH, "0"] == 0


@either_loop
async def test_a_pair_survives_a_store_that_lost_its_approval_meanwhile(scenario):
    """A failover to what was true before the seller approved, while the answer is on its way."""
    store, replica = MemoryStore(), MemoryStore()

    async def fail_over(go_on):
        answer = await go_on()
        store._scopes = replica._scopes
        return answer

    transport = Between(fail_over)
    async with scenario.manager(store, client=scenario.client(transport=transport)) as tokens:
        await tokens.authorize(scenario.code())
        await replica.put(evolve(await store.get(tokens.scope, "1001"), revision=0))
        scenario.clock.advance(5)
        await tokens.authorize(scenario.code())
        new = await tokens.refresh("1001")
        assert new.refresh_token == scenario.live().refresh_token
        stored = from_record(await store.get(tokens.scope, "1001"))
        assert stored.token.refresh_token == new.refresh_token
    await transport.aclose()
