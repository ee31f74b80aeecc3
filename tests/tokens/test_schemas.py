"""Bodies that an older or a newer release wrote, side by side with this one's."""

import json
from pathlib import Path

import pytest
from tokens_scenario import LEAD, MONTH, each_store, either_loop, kinds

import iop_async as iop
from iop_async._records import Record
from iop_async.stores import SpillJournal
from iop_async.tokens._grant_json import from_record, to_record

SCOPE = "schemas"


def microseconds(moment):
    return int(moment.timestamp() * 1_000_000)


async def put(scenario, body, *, seller="1001"):
    record = Record(
        scope=SCOPE,
        seller_id=seller,
        seller_ids=(seller,),
        due_at=scenario.clock.now(),
        body=json.dumps(body).encode(),
    )
    async with scenario.store() as store:
        return await store.put(record)


async def get(scenario, seller="1001"):
    async with scenario.store() as store:
        return await store.get(SCOPE, seller)


def pair(scenario, seller="1001"):
    """The least that was ever written about a pair: no end of the refresh token, no sellers."""
    granted = scenario.sandbox.grant(seller)
    return {
        "access_token": granted["access_token"],
        "refresh_token": granted["refresh_token"],
        "issued_at": microseconds(scenario.clock.now()),
        "expires_at": microseconds(scenario.clock.now()) + MONTH * 1_000_000,
    }


@each_store
async def test_a_body_of_an_older_release_is_read_refreshed_and_upgraded(shared):
    """Without a schema, a generation, a state or a refresh lifetime."""
    old = pair(shared)
    await put(shared, {"token": old})
    async with shared.manager(scope=SCOPE) as tokens:
        assert (await tokens.token("1001")).access_token == old["access_token"]
        assert (await tokens.status("1001")).state == "live"
        shared.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        assert (await tokens.token("1001")).refresh_token == shared.live().refresh_token
    record = await get(shared)
    body = json.loads(record.body)
    assert (body["schema"], record.generation) == (1, 2)
    assert body["token"]["refresh_expires_at"] is not None


@each_store
async def test_a_body_of_a_newer_release_is_refused_and_left_as_it_is(shared):
    """Nothing is cut off it, nothing is presented; whoever asks is told to upgrade."""
    newer = {"schema": 99, "token": pair(shared), "novelty": {"a": 1}}
    written = await put(shared, newer)
    async with shared.manager(scope=SCOPE, lease_seconds=0.2) as tokens:
        for ask in (tokens.token, tokens.refresh, tokens.status, tokens.forget):
            with pytest.raises(iop.StoreError, match="newer version"):
                await ask("1001")
    assert (await get(shared)).body == written.body
    assert shared.presented() == 0


@pytest.mark.parametrize("body", [{"schema": 99, "token": {}}, {"token": {}}, {"a": 1}, [1]])
@either_loop
async def test_a_body_that_cannot_be_read_holds_up_no_other_seller(scenario, body, caplog):
    """The log says so; the keeper goes on with the others, and leaves the body as it is."""
    written = await put(scenario, body)
    await put(scenario, {"token": pair(scenario, "1002")}, seller="1002")
    async with scenario.manager(scope=SCOPE, keeper=True, lease_seconds=0.5) as tokens:
        events = tokens.events()
        scenario.clock.advance(MONTH - LEAD + 60)
        while "refreshed" not in await kinds(events, 1):
            pass
        assert (await tokens.token("1002")).refresh_token == scenario.live("1002").refresh_token
        assert len((await tokens.refresh_many(["1001", "1002"])).failed) == 1
    assert "the record of seller 1001" in caplog.text
    assert (await get(scenario)).body == written.body
    assert scenario.presented() == 2


VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "stores" / "grants.json").read_text())


def row(vector):
    """A frozen row as the store gives it."""
    facts = vector["record"]
    return Record(
        scope=SCOPE,
        seller_id=facts["seller"],
        seller_ids=tuple(facts["sellers"]),
        generation=facts["generation"],
        revision=facts["revision"],
        body=json.dumps(vector["body"]).encode(),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_rows_of_this_schema_are_read_for_as_long_as_it_has_its_number(vector):
    """What a release wrote, the next one reads to the last field, and writes the same again."""
    grant = from_record(row(vector))
    again = json.loads(to_record(grant, due_at=None).body)
    assert {name: again[name] for name in vector["body"]} == vector["body"]
    assert grant.token.access_token == vector["body"]["token"]["access_token"]
    assert (grant.state, grant.attempts) == (vector["body"]["state"], vector["body"]["attempts"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_rows_that_are_written_now_have_all_that_older_readers_look_for(vector):
    """Under the same names and of the same kinds, side by side with hosts not yet upgraded."""
    written = json.loads(to_record(from_record(row(vector)), due_at=None).body)
    assert written["schema"] == 1
    assert kinds_of(vector["body"]).items() <= kinds_of(written).items()


def kinds_of(value, path=""):
    """The kind of everything in a body, by where it stands."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    found = {}
    for name, member in members:
        at = f"{path}/{name}"
        found[at] = type(member).__name__
        if isinstance(member, (dict, list)):
            found |= kinds_of(member, at)
    return found


def with_novelties(value):
    """The same with a field that nobody knows in every object."""
    if isinstance(value, list):
        return [with_novelties(member) for member in value]
    if not isinstance(value, dict):
        return value
    known = {name: with_novelties(member) for name, member in value.items()}
    return {**known, "novelty": {"deep": [1, {"er": None}]}}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_fields_that_a_later_release_added_are_passed_over(vector):
    """Wherever they stand; the grant is the same without them."""
    later = {**vector, "body": with_novelties(vector["body"])}
    later["body"]["token"]["extra"] = vector["body"]["token"]["extra"]
    for candidate, known in zip(
        later["body"]["candidates"], vector["body"]["candidates"], strict=True
    ):
        candidate["extra"] = known["extra"]
    assert from_record(row(later)) == from_record(row(vector))


@each_store
async def test_a_row_of_a_later_release_is_refreshed_by_this_one_and_read_by_that(shared):
    """Both run side by side while hosts are upgraded, and neither stops the other."""
    later = with_novelties({"schema": 1, "token": pair(shared), "sellers_seen": 3})
    await put(shared, later)
    async with shared.manager(scope=SCOPE) as tokens:
        assert (await tokens.token("1001")).access_token == later["token"]["access_token"]
        shared.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
    written = json.loads((await get(shared)).body)
    assert written["schema"] == 1
    assert written["token"]["refresh_token"] == shared.live().refresh_token


SPOILED = {
    "torn": b'{"schema":1,"tok',
    "of a newer release": b'{"schema":99}',
    "schema as text": b'{"schema":"1","token":{}}',
    "nested deep": b"[" * 3_000 + b"]" * 3_000,
    "a time out of range": b'{"schema":1,"token":{"access_token":"a","issued_at":1'
    + b"0" * 30
    + b"}}",
    "no token": b'{"schema":1,"token":7}',
    "empty": b"",
}


@either_loop
async def test_a_spoiled_body_in_the_journal_keeps_no_manager_from_starting(scenario, caplog):
    """The others are recovered; it stays there, and is told of."""
    journal = SpillJournal(f"{scenario.path}.spill")
    sellers = {f"{n}": body for n, body in enumerate(SPOILED.values())}
    for seller, body in sellers.items():
        await journal.append(a_record(seller, body))
    whole = {"token": pair(scenario, "1001"), "schema": 1}
    await journal.append(a_record("1001", json.dumps(whole).encode()))
    async with scenario.manager(scope=SCOPE) as tokens:
        assert (await tokens.status("1001")).state == "live"
        for seller in sellers:
            assert f"in the journal, the record of seller {seller} " in caplog.text
    kept = await journal.records()
    assert {one.seller_id: one.body for one in kept} == sellers


def a_record(seller, body):
    return Record(scope=SCOPE, seller_id=seller, seller_ids=(seller,), body=body)


@either_loop
async def test_a_record_that_cannot_be_read_hides_no_status(scenario):
    """The others come; who looks at them hears of it in the end."""
    await put(scenario, {"token": pair(scenario, "1001"), "schema": 99}, seller="1001")
    await put(scenario, {"token": pair(scenario, "1002")}, seller="1002")
    async with scenario.manager(scope=SCOPE) as tokens:
        statuses = tokens.statuses()
        assert (await anext(statuses)).seller_id == "1002"
        with pytest.raises(iop.StoreError, match=r"1 cannot be read: .* 1001 was .* newer version"):
            await anext(statuses)
