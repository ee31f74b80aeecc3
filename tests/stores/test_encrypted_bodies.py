"""What is sealed opens as it was, in its own row and with its own key, and nowhere else."""

import copy
import json
import pickle
import traceback
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from store_helpers import record

from iop_async import StoreError
from iop_async.stores import EncryptedStore, MemoryStore

NEW, OLD = b"n" * 32, b"o" * 32
CANARY = "50000601c30canary3mSoB7701"
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "stores" / "encrypted.json").read_text()
)


def store(keys=None, **options):
    return EncryptedStore(MemoryStore(), {"2026": NEW} if keys is None else keys, **options)


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
records = st.builds(
    lambda seller, more, **facts: record(seller, *(more - {seller}), **facts),
    names,
    st.frozensets(names, max_size=4),
    scope=names,
    body=st.binary() | st.binary().map(lambda body: store().seal(record(body=body)).body),
    generation=st.integers(0, 2**53),
    due_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(records)
def test_what_is_sealed_opens_as_it_was(one):
    """Any body, also one that was sealed before; and nothing but the body is changed."""
    sealed = store().seal(one)
    assert sealed == evolve(one, body=sealed.body)
    assert sealed.body != one.body
    assert store().unseal(sealed) == one


@given(records, st.data())
def test_any_flipped_bit_is_refused(one, data):
    """In the head, the nonce, the body or its tag; and so is what is cut short or lengthened."""
    sealed = store().seal(one)
    place = data.draw(st.integers(0, len(sealed.body) * 8 - 1))
    flipped = bytearray(sealed.body)
    flipped[place // 8] ^= 1 << place % 8
    for body in (bytes(flipped), sealed.body[: place // 8], sealed.body + b"\0"):
        with pytest.raises(StoreError, match="cannot decrypt the record of seller"):
            store().unseal(evolve(sealed, body=body))


@given(records)
def test_equal_writes_are_equal_and_others_share_no_nonce(one):
    """A write that is repeated is the same; GCM breaks where a nonce serves two."""

    def nonce(changed):
        return store().seal(changed).body[-len(changed.body) - 28 :][:12]

    assert store().seal(one) == store().seal(one)
    others = [
        one,
        evolve(one, body=one.body + b"\0"),
        evolve(one, scope=one.scope + "x"),
        evolve(one, seller_ids=(*one.seller_ids, "\N{PILE OF POO}" * 9)),
    ]
    assert len({nonce(other) for other in others}) == len(others)
    assert store({"2026": OLD}).seal(one).body != store().seal(one).body


def test_nothing_of_the_body_is_seen():
    """But for its length."""
    sealed = store().seal(record(body=CANARY.encode() * 3))
    assert CANARY[:4].encode() not in sealed.body


@pytest.mark.parametrize(
    "change",
    [
        {"seller_id": "2002", "seller_ids": ("2002",)},
        {"scope": "app@elsewhere"},
        {"seller_ids": ("1001", "2002")},
    ],
    ids=["seller_id", "scope", "seller_ids"],
)
def test_a_body_opens_in_no_other_row(change):
    """Neither for another seller nor another app or platform."""
    sealed = store().seal(record("1001", body=CANARY.encode()))
    with pytest.raises(StoreError, match="changed, or belongs to another seller or app") as caught:
        store().unseal(evolve(sealed, **change))
    assert CANARY not in str(caught.value)
    assert not caught.value.retryable


def test_a_record_that_lost_sellers_still_opens():
    """A store files it under another of its names, without knowing the body."""
    sealed = store().seal(record("a", "b", "c", body=b"mine"))
    moved = evolve(sealed, seller_id="c", seller_ids=("c", "b"), revision=9)
    assert store().unseal(moved).body == b"mine"


def test_a_key_that_is_missing_is_named():
    """So that its owner knows what to look for."""
    sealed = store({"2025": OLD}).seal(record())
    with pytest.raises(
        StoreError, match="seller '1001': key id '2025' is missing; there is '2026'"
    ):
        store().unseal(sealed)
    with pytest.raises(StoreError, match="changed"):
        store({"2025": NEW}).unseal(sealed)
    both = store({"2026": NEW, "2025": OLD})
    assert both.unseal(sealed) == record()
    assert both.seal(record()) == store().seal(record())


def test_plain_bodies_are_refused_unless_they_are_expected():
    """Who can write to the database could put in tokens of his own."""
    with pytest.raises(StoreError, match="not encrypted, and accept_plain=True was not given"):
        store().unseal(record())
    assert store(accept_plain=True).unseal(record()) == record()
    sealed = store().seal(record())
    assert store(accept_plain=True).unseal(sealed) == record()


def test_what_a_newer_version_wrote_is_left_to_it():
    """It is no plain body, and none of ours."""
    newer = evolve(record(), body=b"IOPSEAL\x02whatever")
    for one in (store(), store(accept_plain=True)):
        with pytest.raises(StoreError, match="written by a newer version of iop-async"):
            one.unseal(newer)


def test_what_no_store_could_keep_is_not_sealed():
    """As everywhere: before anything is written."""
    with pytest.raises(ValueError, match="surrogate"):
        store().seal(record("\ud800"))
    with pytest.raises(StoreError, match="changed"):
        store().unseal(evolve(store().seal(record("1001", scope="a")), scope="\ud800"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_format_stays_as_it_is(vector):
    """What an earlier release wrote is read by every later one, and written alike.

    The first releases said nothing of the generation, so that theirs open for any.
    """
    keys = {key_id: bytes.fromhex(key) for key_id, key in vector["keys"].items()}
    moment = datetime(2031, 2, 3, tzinfo=UTC)
    one = record(*vector["sellers"], scope=vector["scope"], body=vector["body"].encode())
    generation = vector.get("generation", 3)
    one = evolve(one, due_at=moment, dies_at=moment, revision=7, generation=generation)
    sealed = bytes.fromhex(vector["sealed"])
    assert store(keys).unseal(evolve(one, body=sealed)) == one
    if "generation" in vector:
        assert store(keys).seal(one).body == sealed


@pytest.mark.parametrize("generation", [1, 3, 2**40])
def test_a_body_opens_in_no_row_that_pretends_to_be_newer(generation):
    """A spent refresh token would be presented in the place of the live one."""
    sealed = store().seal(record(body=CANARY.encode(), generation=2))
    with pytest.raises(StoreError, match="changed, or belongs to another seller or app"):
        store().unseal(evolve(sealed, generation=generation))
    assert store().unseal(sealed).generation == 2


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_format_is_the_one_that_is_described(vector):
    """Taken apart by hand, with nothing of ours."""
    sealed = bytes.fromhex(vector["sealed"])
    end = 12 + int.from_bytes(sealed[8:12], "big")
    assert sealed[:8] == b"IOPSEAL\x01"
    assert json.loads(sealed[12:end]) == {
        "key": next(iter(vector["keys"])),
        "sellers": sorted(vector["sellers"]),
        **({"generation": vector["generation"]} if "generation" in vector else {}),
    }
    cipher = AESGCM(bytes.fromhex(vector["cipher_key"]))
    bound = sealed[:end] + vector["scope"].encode()
    plain = cipher.decrypt(sealed[end : end + 12], sealed[end + 12 :], bound)
    assert plain.decode() == vector["body"]


def text_of(key):
    return urlsafe_b64encode(key).decode()


@pytest.mark.parametrize(
    "keys",
    [
        {"2026": NEW, "2025": OLD},
        {"2026": text_of(NEW), "2025": text_of(OLD).rstrip("=")},
        f"2026={text_of(NEW)},2025={text_of(OLD)}",
        f"\n 2026={text_of(NEW)} ,\n 2025={text_of(OLD).rstrip('=')},\n",
    ],
)
def test_keys_are_bytes_or_text(keys):
    """By their ids, or all of them in one text, as an environment variable holds them."""
    sealed = store({"2025": OLD}).seal(record())
    assert store(keys).unseal(sealed) == record()
    assert store(keys).seal(record()) == store().seal(record())


def test_a_new_key_is_a_key():
    """Another one every time; its repr shows nothing."""
    key = EncryptedStore.new_key()
    assert len(b64decode(key)) == 32
    assert key != EncryptedStore.new_key()
    assert key not in repr([key])
    assert store({"a": key}).unseal(store(f"a={key}").seal(record())) == record()


BAD = "hunter2"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "there is no key; EncryptedStore.new_key"),
        ("", "there is no key"),
        (" , ", "there is no key"),
        ({"a": BAD.encode()}, "key 1 is neither 32 bytes nor their base64"),
        ({"a": NEW, "b": BAD}, "key 2 is neither"),
        ({"a": NEW, "b": None}, "key 2 is neither"),
        ({"a": BAD + "é" * 40}, "key 1 is neither"),
        ({"a": BAD * 6 + "!!"}, "key 1 is neither"),
        (f"a={BAD}", "key 1 is neither"),
        (f"{BAD}", "key 1 is neither"),
        (f"={text_of(NEW)}", "the id of key 1"),
        ({"": NEW}, "the id of key 1 is not 1 to 32 letters"),
        ({BAD * 5: NEW}, "the id of key 1"),
        ({f"{BAD} ": NEW}, "the id of key 1"),
        ({f"{BAD}\n": NEW}, "the id of key 1"),
        ({"店": NEW}, "the id of key 1"),
        ({7: NEW}, "the id of key 1"),
        (text_of(BAD.encode() * 5)[:43], "the id of key 1"),
        (f"a={text_of(NEW)},a={text_of(OLD)}", "key 2 has the id or the bytes of an earlier one"),
        ({"a": NEW, "b": NEW}, "key 2 has the id or the bytes"),
        (NEW, "keys are a mapping"),
    ],
)  # fmt: skip
def test_keys_that_are_none_are_refused(keys, words):
    """At once, and without repeating any of them: what stands in the wrong place may be a key."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        store(keys)
    assert words in str(caught.value)
    assert BAD not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_a_traceback_with_locals_shows_no_key():
    """Error trackers record the local variables of every frame; only the user's own has them."""
    shown = []
    for keys in ({"a": CANARY.encode()}, {"b": CANARY}, f"a={CANARY}"):
        with pytest.raises(ValueError, match="key 1") as caught:
            EncryptedStore(MemoryStore(), keys)
        shown.append(locals_of(caught.value))
    sealed = store({"2025": CANARY.encode() + b"123456"}).seal(record(body=CANARY.encode()))
    for body in (sealed.body, sealed.body[:-1], CANARY.encode()):
        with pytest.raises(StoreError) as caught:
            store({"2025": NEW}).unseal(evolve(sealed, body=body))
        shown.append(locals_of(caught.value))
    assert all("_store.py" in one for one in shown)
    assert not any(CANARY in one for one in shown)


def locals_of(error):
    """Of the frames that are ours."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return "".join(lines).partition("iop_async/stores")[2]


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_with_keys_is_not_pickled_or_shown(duplicate):
    """Its repr names the store it stands around and the ids of the keys."""
    one = store({"2026": CANARY.encode() + b"123456"})
    with pytest.raises(TypeError, match="holds secrets"):
        duplicate(one)
    assert repr(one).startswith("EncryptedStore(<iop_async")
    assert repr(one).endswith("keys=['2026'])")
