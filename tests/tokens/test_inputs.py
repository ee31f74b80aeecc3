"""What nobody can mean is refused at the door: no store is asked, nothing is presented."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve
from tokens_scenario import APP, either_loop

import iop_async as iop
from iop_async.stores import MemoryStore, SQLiteStore
from iop_async.testing._clock import MovableClock

NOT_IDS = {
    "an int": (1001, TypeError, "of type int; seller ids are text, so give '1001'"),
    "a bool": (True, TypeError, "of type bool"),
    "a float": (1001.0, TypeError, "of type float"),
    "a decimal": (Decimal(1001), TypeError, "of type Decimal"),
    "None": (None, TypeError, "of type NoneType"),
    "bytes": (b"1001", TypeError, "of type bytes; seller ids are text, so decode it"),
    "a list": (["1001"], TypeError, "of type list"),
    "a seller": (iop.Seller("sg", "1001"), TypeError, "of type Seller; give its seller_id"),
    "nothing": ("", ValueError, "is empty"),
    "blank": (" \t", ValueError, "is empty"),
    "a space after": ("1001 ", ValueError, "'1001 ', with white space around it; strip it"),
    "a line end": ("1001\n", ValueError, "white space around it"),
    "a wide space": ("\u30001001", ValueError, "white space around it"),
    "half a surrogate pair": ("1001\ud83d", ValueError, "half a surrogate pair"),
    "a NUL": ("10\x0001", ValueError, "a control character"),
    "an escape": ("10\x1b[2J01", ValueError, "a control character"),
}

ASK = {
    "token": lambda tokens, seller_id: tokens.token(seller_id),
    "refresh": lambda tokens, seller_id: tokens.refresh(seller_id),
    "replace": lambda tokens, seller_id: tokens.replace(seller_id, rejected="old"),
    "refresh_many": lambda tokens, seller_id: tokens.refresh_many(["1002", seller_id]),
    "forget": lambda tokens, seller_id: tokens.forget(seller_id),
    "status": lambda tokens, seller_id: tokens.status(seller_id),
    "unread": lambda tokens, seller_id: tokens.unread(seller_id),
    "seller": lambda tokens, seller_id: tokens.seller(seller_id).call("/seller/get"),
}


class Untouched(MemoryStore):
    """A store that notes which of its methods somebody calls."""

    def __init__(self):
        super().__init__()
        self.asked = []

    async def get(self, *args, **options):
        self.asked.append("get")
        return await super().get(*args, **options)

    async def put(self, *args, **options):
        self.asked.append("put")
        return await super().put(*args, **options)

    async def lease(self, *args, **options):
        self.asked.append("lease")
        return await super().lease(*args, **options)

    async def remove(self, *args, **options):
        self.asked.append("remove")
        return await super().remove(*args, **options)


@pytest.mark.parametrize("role", ["peer", "follower"])
@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@either_loop
async def test_what_is_no_seller_id_is_refused_at_every_door(scenario, ask, role):
    """With words that name what was given; of several ids one is enough."""
    async with scenario.manager(Untouched()) as peer:
        await peer.authorize(scenario.code())
    store = Untouched()
    async with scenario.manager(store, role=role) as tokens:
        for value, error, words in NOT_IDS.values():
            with pytest.raises(error) as caught:
                await ask(tokens, value)
            assert words in str(caught.value)
    assert store.asked == []
    assert scenario.presented() == 0


@pytest.mark.parametrize("value", ["1001", b"1001", 1001, None])
@either_loop
async def test_one_seller_id_in_the_place_of_many_is_no_list_of_its_characters(scenario, value):
    """Sellers 0 and 1 would be asked for."""
    store = Untouched()
    async with scenario.manager(store) as tokens:
        with pytest.raises(TypeError, match="give a list of seller ids"):
            await tokens.refresh_many(value)
        with pytest.raises(TypeError, match="on_progress is of type str"):
            await tokens.refresh_many(["1001"], on_progress="print")
    assert store.asked == []


@either_loop
async def test_what_is_no_code_or_no_token_is_refused_before_anything_is_sent(scenario):
    """Nor are the ids that a token names taken unseen: nobody could ask for them."""
    token = iop.Token(access_token="a", refresh_token="r", issued_at=datetime.now(UTC))
    store = Untouched()
    async with scenario.manager(store) as tokens:
        for code, error in ((12345, TypeError), (b"code", TypeError), (None, ValueError)):
            with pytest.raises(error, match=r"code is .*nothing was sent"):
                await tokens.authorize(code)
        for value in ("access token", None, {"access_token": "a"}):
            with pytest.raises(TypeError, match=r"give an iop_async\.Token"):
                await tokens.import_token(value)
        for value, error, _ in NOT_IDS.values():
            if value:  # a shop may be without an id
                with pytest.raises(error, match="a seller id of the token"):
                    await tokens.import_token(evolve(token, sellers=(iop.Seller("sg", value),)))
        with pytest.raises(TypeError, match=r"token\.sellers\[0\] is of type dict"):
            await tokens.import_token(evolve(token, sellers=({"seller_id": "1001"},)))
        with pytest.raises(TypeError, match="rejected is of type int"):
            await tokens.replace("1001", rejected=7)
    assert store.asked == []


def client():
    return iop.Client(APP, iop.gateways.ALIBABA)


SETTINGS = {
    "a URL for a store": (lambda: {"store": "postgresql://u:p@h/db"}, TypeError, "from_url"),
    "a path for a store": (lambda: {"store": Path("tokens.db")}, TypeError, "SQLiteStore"),
    "no store": (lambda: {"store": None}, TypeError, "which has no get, put"),
    "a class of stores": (lambda: {"store": SQLiteStore}, TypeError, "the class SQLiteStore"),
    "a client for a store": (lambda: {"store": client()}, TypeError, "which has no get, put"),
    "an app for a client": (lambda: {"client": APP}, TypeError, "give an iop_async.Client"),
    "no client": (lambda: {"client": None}, TypeError, "give an iop_async.Client"),
    "a policy in seconds": (lambda: {"policy": 1800}, TypeError, "RefreshPolicy"),
    "a policy in words": (lambda: {"policy": {"lead": 1}}, TypeError, "RefreshPolicy"),
    "a function for a clock": (lambda: {"clock": datetime.now}, TypeError, "sleep_until"),
    "a class of clocks": (lambda: {"clock": MovableClock}, TypeError, "sleep_until"),
    "a number for a journal": (lambda: {"journal": 7}, TypeError, "give a path"),
    "a nameless journal": (lambda: {"journal": ""}, ValueError, "journal is empty"),
    "a number for a scope": (lambda: {"scope": 7}, TypeError, "give text"),
    "a nameless scope": (lambda: {"scope": " "}, ValueError, "scope is empty"),
    "a role of one's own": (lambda: {"role": "leader"}, ValueError, "'peer' or 'follower'"),
    "another failure": (lambda: {"on_store_failure": None}, ValueError, "'wait' or 'journal'"),
    "a word for the keeper": (lambda: {"keeper": "no"}, TypeError, "True or False"),
    "no refresh at a time": (lambda: {"concurrency": 0}, ValueError, "at least 1"),
    "half a refresh": (lambda: {"concurrency": 0.5}, TypeError, "a whole number"),
    "nothing cached": (lambda: {"cached": -1}, ValueError, "at least 1"),
    "anything cached": (lambda: {"cached": math.inf}, TypeError, "a whole number"),
    "a rate in words": (lambda: {"rate": "10"}, TypeError, "a number"),
    "a lease without end": (lambda: {"lease_seconds": None}, TypeError, "a number"),
    "a lease for a day": (lambda: {"lease_seconds": 86_400}, ValueError, "at most 3600"),
    "draining undone": (lambda: {"drain_seconds": -0.1}, ValueError, "0 or more"),
}
for _name in ("rate", "lease_seconds", "drain_seconds"):
    for _value in (math.nan, math.inf, -math.inf, -1, 10**400):
        SETTINGS[f"{_name} {_value}"[:24]] = (
            lambda name=_name, value=_value: {name: value},
            ValueError,
            f"{_name} is .*finite",
        )


@pytest.mark.parametrize(("options", "error", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_manager_that_cannot_work_is_not_made(options, error, words):
    """With words that name the setting, and say what to give; no password of a URL is repeated."""
    given = {"client": client(), "store": MemoryStore(), **options()}
    with pytest.raises(error, match=words) as caught:
        iop.TokenManager(given.pop("client"), given.pop("store"), **given)
    assert "u:p" not in str(caught.value)


@either_loop
async def test_a_question_does_not_refresh_again_and_again(scenario, monkeypatch):
    """Where every refresh leaves another seller's grant, it ends in an error, and soon."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        running = tokens._lifecycle.here
        presented = []

        async def refresh(grant, *_, **__):
            presented.append(grant.seller_id)
            return evolve(grant, seller_id="other", seller_ids=("other",))

        monkeypatch.setattr(running._refresher, "refresh", refresh)
        with pytest.raises(iop.TokenError, match="seller 1001 has no newer token after"):
            await tokens.refresh("1001")
        assert len(presented) <= 5
