"""``iop-async tokens``: what a store keeps, looked at and worked with."""

import csv
import json
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import anyio
import pytest
from attrs import evolve

import iop_async as iop
from iop_async.cli._tokens.exporting import row_of
from iop_async.cli._tokens.rows import token_in
from iop_async.stores import SpillJournal, SQLiteStore
from iop_async.tokens import read_grant

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def kept(shop):
    shop.approve("1001", "1002", "1003")
    return shop


def tokens_of(shop, path=None):
    """Seller to token, as a store has it."""

    async def read():
        async with SQLiteStore(path or shop.store) as store:
            scope = f"123456@{shop.url.removeprefix('http://')}"
            return {each.seller_id: read_grant(each).token async for each in store.records(scope)}

    return anyio.run(read)


def states(shop):
    found = shop.invoke("tokens", "list", "--json").document["grants"]
    return {grant["seller_id"]: grant["freshness"] for grant in found}


def import_row(shop, **fields):
    """Import a pair of one's own making."""
    path = shop.folder / "own.jsonl"
    row = {"access_token": f"5000a{fields['seller_id']}", "refresh_token": "5000r0r0r0", **fields}
    path.write_text(json.dumps(row, default=datetime.isoformat))
    path.chmod(0o600)
    done = shop.invoke("tokens", "import", path, "--json")
    assert done.document["imported"] == 1, done.err


def test_a_list_has_a_line_for_each_seller(kept):
    """Separated by tabs where a program reads; how many there are, for a person."""
    done = kept.invoke("tokens", "list")
    head, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert head[:3] == ["seller", "state", "access token ends"]
    assert [row[:3] for row in rows] == [[s, "fresh", "in 30 d"] for s in ("1001", "1002", "1003")]
    assert done.err.startswith("3 sellers of 123456@127.0.0.1:")
    limited = kept.invoke("tokens", "list", "--limit", "1")
    assert len(limited.out.splitlines()) == 2
    assert "3 sellers" in limited.err
    assert kept.invoke("tokens", "list", "--state", "dead").out == ""


def test_what_is_looked_at_is_neither_written_nor_refreshed(kept):
    """And needs no app secret: the file and the gateway are as before."""
    before, presented = kept.store.read_bytes(), len(kept.sandbox.ledger.refreshes)
    for command in (["list"], ["due"], ["show", "1001"], ["audit"], ["export", "--reveal"]):
        done = kept.invoke("tokens", *command, IOP_APP_SECRET="")
        assert done.status == 0, done.err
    assert kept.store.read_bytes() == before
    assert len(kept.sandbox.ledger.refreshes) == presented


def test_the_most_urgent_are_due_first(kept):
    """By the end of what they can still give; those who are fresh are not among them."""
    ends = {"5": 0.2, "4": 3}
    for seller_id, days in ends.items():
        import_row(
            kept,
            seller_id=seller_id,
            issued_at=NOW - DAY,
            expires_at=NOW + timedelta(minutes=1),
            refresh_expires_at=NOW + days * DAY,
            refresh_token=f"5000r0r0r{seller_id}",
        )
    found = kept.invoke("tokens", "due", "--json").document["grants"]
    assert [grant["seller_id"] for grant in found] == ["5", "4"]
    everybody = kept.invoke("tokens", "due", "--within", "100000", "--json").document
    assert everybody["total"] == 5


def test_tokens_are_shown_only_where_that_is_asked_for(kept):
    """All else is shown."""
    pair = tokens_of(kept)["1001"]
    for options in ([], ["--json"]):
        masked = kept.invoke("tokens", "show", "1001", *options)
        revealed = kept.invoke("tokens", "show", "1001", *options, "--reveal")
        for secret in (pair.access_token, pair.refresh_token):
            assert secret not in masked.out + masked.err
            assert secret in revealed.out
        assert pair.account in masked.out


def test_refreshing_says_what_became_of_each(kept):
    """Those named, all, and those that are due; the status tells of a failure."""
    before = tokens_of(kept)
    done = kept.invoke("tokens", "refresh", "1001", "77", "--json")
    assert done.status == 1
    assert done.document["refreshed"] == ["1001"]
    assert "never authorized" in done.document["skipped"]["77"]
    kept.sandbox.fail("error", code="IllegalRefreshToken", seller_id="1003", times=None,
                      api="/auth/token/refresh")  # fmt: skip
    done = kept.invoke("tokens", "refresh", "--all")
    assert "1002: refreshed" in done.out
    after = tokens_of(kept)
    assert before["1002"].access_token != after["1002"].access_token
    assert kept.invoke("tokens", "refresh", "--due").status == 0
    for wrong in ([], ["1001", "--all"], ["--due", "--all"]):
        assert kept.invoke("tokens", "refresh", *wrong).status == 2


def test_a_refresh_that_fails_is_told_of_with_its_kind(kept):
    """And nothing is lost by it."""
    kept.sandbox.fail("status", status=503, api="/auth/token/refresh", times=None)
    done = kept.invoke("tokens", "refresh", "1001", "--json")
    assert done.status == 1
    failed = done.document["failed"]["1001"]
    assert failed["kind"]
    assert failed["message"]
    assert kept.invoke("call", "/orders/get", "--seller", "1001").status == 0


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_is_imported_again_without_loss(kept, form):
    """Every field of every token, in a file that nobody else may read."""
    path = kept.folder / f"backup.{form}"
    done = kept.invoke("tokens", "export", path)
    assert (done.status, done.out) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = kept.folder / "other.db"
    done = kept.invoke("tokens", "import", path, "--json", "--store", f"sqlite:///{other}")
    assert done.document["imported"] == 3
    assert tokens_of(kept, other) == tokens_of(kept)
    assert len(tokens_of(kept)) == 3


TOKENS = {
    "six ventures": {
        "country": "cb",
        "sellers": tuple(
            iop.Seller(country, f"s{country}", f"u{country}", f"SC{country}")
            for country in ("sg", "my", "th", "vn", "ph", "id")
        ),
    },
    "odd sellers": {
        "sellers": (iop.Seller("SG", "s1"), iop.Seller(None, None, "u2"), iop.Seller(seller_id="3"))
    },
    "an account alone": {"account": "店, \"a\"\n@x", "account_id": "7", "account_platform": "p"},
    "extra": {
        "sellers": (iop.Seller(seller_id="1"),),
        "extra": {
            "expires_in": "a doubtful week",
            "session_expires_at": 5,
            "w1_expires_in": 86400,
            "user_info": {"loginId": "x"},
            "note": "half \ud83d a pair, \x1b[31m",
            "list": [1, 2.5, None, True],
        },
    },
    "no ends": {"sellers": (iop.Seller(seller_id="1"),), "expires_at": None,
                "refresh_expires_at": None},
    "no refresh": {"sellers": (iop.Seller(seller_id="1"),), "refresh_expires_at": NOW - DAY},
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_row_of_an_export_is_the_token_it_was(name, form):
    """Whatever fields it has, in both formats."""
    ends = {"expires_at": NOW + DAY, "refresh_expires_at": NOW + 5 * DAY}
    token = iop.Token(
        access_token="5000a0a0a0",
        refresh_token="5000r0r0r0",
        issued_at=NOW - DAY,
        **{**ends, **TOKENS[name]},
    )
    row = row_of(grant_of(token))
    if form == "csv":
        row = {name: json.dumps(value) if isinstance(value, (list, dict)) else value
               for name, value in row.items()}  # fmt: skip
    else:
        row = json.loads(json.dumps(row))
    found = token_in(row, now=NOW)
    if name == "an account alone":  # which is found by its account's id, and has no seller
        assert found.sellers == ()
    assert found == token


def grant_of(token, seller_ids=None):
    ids = seller_ids or iop.tokens.seller_ids_of(token)
    return SimpleNamespace(seller_id=ids[0], seller_ids=ids, token=token)


def test_a_grant_is_found_again_by_every_id_that_it_had():
    """A refreshed token may name less than the first one did."""
    token = iop.Token(access_token="5000a", refresh_token="5000r", issued_at=NOW,
                      expires_at=NOW + DAY, sellers=(iop.Seller("sg", "1"),))  # fmt: skip
    row = row_of(grant_of(token, ("1", "2", "3")))
    assert iop.tokens.seller_ids_of(token_in(row, now=NOW)) == ("1", "2", "3")


def test_an_export_overwrites_nothing_and_leaves_no_half_of_itself(kept):
    """Nor is it printed unless that is said."""
    path = kept.folder / "backup.jsonl"
    path.write_text("mine")
    done = kept.invoke("tokens", "export", path)
    assert done.status == 1
    assert f"{path}: file exists" in done.err
    assert path.read_text() == "mine"
    refused = kept.invoke("tokens", "export")
    assert refused.status == 2
    assert "5000" not in refused.out
    printed = kept.run("tokens", "export", "--reveal", "--format", "csv")
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert {row["seller_id"] for row in rows} == {"1001", "1002", "1003"}


def test_who_is_forgotten_is_gone(kept):
    """Whoever is not there is told of; nothing happens without a yes."""
    assert kept.invoke("tokens", "forget", "1001").status == 2
    done = kept.run("tokens", "forget", "1001", given="y\n")
    assert done.status == 2
    assert "--yes" in done.err
    assert set(tokens_of(kept)) == {"1001", "1002", "1003"}
    done = kept.invoke("tokens", "forget", "1001", "77", "--yes")
    assert (done.status, done.out) == (1, "1001: forgotten\n")
    assert "77: there was no grant" in done.err
    assert set(tokens_of(kept)) == {"1002", "1003"}
    assert "tokens list" in kept.invoke("tokens", "show", "1001").err


def findings(shop, status=1):
    done = shop.invoke("tokens", "audit", "--json")
    assert done.status == status, done.err
    return {(each["kind"], each["seller_id"]) for each in done.document["findings"]}


def test_an_audit_of_a_store_that_is_well_finds_nothing(kept):
    """Exit status 0."""
    assert findings(kept, status=0) == set()
    assert "0 findings" in kept.invoke("tokens", "audit").err


def test_an_audit_finds_what_somebody_should_look_at(kept):
    """Who must approve again, who is kept by nobody, a pair in two places; each said in words."""
    old = {"issued_at": NOW - 10 * DAY, "refresh_expires_at": NOW + 30 * DAY}
    import_row(kept, seller_id="late", expires_at=NOW - DAY, **old)
    import_row(kept, seller_id="twin", expires_at=NOW + 20 * DAY, **old)
    import_row(kept, seller_id="soon", issued_at=NOW, expires_at=NOW + DAY,
               refresh_expires_at=NOW + 2 * DAY, refresh_token="5000r1r1r1")  # fmt: skip
    import_row(kept, seller_id="open", issued_at=NOW, expires_at=None,
               refresh_token="5000r2r2r2")  # fmt: skip
    found = findings(kept)
    assert found == {
        ("overdue", "late"),
        ("shared token", "twin"),
        ("ends soon", "soon"),
        ("unknown end", "open"),
    }
    assert "does a keeper run?" in kept.invoke("tokens", "audit").out
    assert "5000r" not in kept.invoke("tokens", "audit").out


def test_an_audit_finds_records_that_nobody_can_read(kept):
    """They cost no other, and a list says of them too."""
    with closing(sqlite3.connect(kept.store, isolation_level=None)) as database:
        database.execute("UPDATE records SET body = 'spoiled' WHERE seller = '1002'")
    assert findings(kept) == {("unreadable", None)}
    listed = kept.invoke("tokens", "list", "--json")
    assert [each["seller_id"] for each in listed.document["grants"]] == ["1001", "1003"]
    assert "1 cannot be read" in json.loads(listed.err)["warning"]
    refreshed = kept.invoke("tokens", "refresh", "--all", "--json")
    assert refreshed.document["refreshed"] == ["1001", "1003"]
    exported = kept.invoke("tokens", "export", kept.folder / "backup.jsonl")
    assert exported.status == 1
    assert "the export is not whole: 1 cannot be read" in exported.err
    assert len((kept.folder / "backup.jsonl").read_text().splitlines()) == 2


def test_an_audit_finds_pairs_that_the_journal_alone_has(kept):
    """The newest pair counts, wherever it is; an export has it too."""

    scope = kept.invoke("tokens", "list", "--json").document["scope"]

    async def spill():
        async with SQLiteStore(kept.store) as store:
            record = await store.get(scope, "1001")
            body = json.loads(record.body)
            body["token"]["access_token"] = "5000journalled"
            newer = evolve(record, generation=9, body=json.dumps(body).encode())
            await SpillJournal(f"{kept.store}.spill").append(newer)

    anyio.run(spill)
    assert findings(kept) == {("unpersisted", "1001")}
    assert "unpersisted" in kept.invoke("tokens", "list").out
    shown = kept.invoke("tokens", "show", "1001", "--json", "--reveal").document
    assert shown["token"]["access_token"] == "5000journalled"
    assert not shown["is_persisted"]
    assert "5000journalled" in kept.run("tokens", "export", "--reveal").out
