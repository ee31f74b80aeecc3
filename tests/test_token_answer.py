"""A token in every shape that the gateways give it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iop_async as iop

SENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parent / "samples" / "tokens").glob("*.json")
}


class Answers:
    """A caller that answers always the same."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    async def call(self, api, params=None, **options):
        self.calls.append((api, params, options))
        reply = iop.gateways.ALIEXPRESS.decode(
            iop.Call(api), iop.HttpResponse(200, {}, json.dumps(self.answer).encode())
        )
        return iop.Reply(reply.data, reply.body, sent_at=SENT, response=reply.response)


async def token(answer):
    return await iop.auth.create_token(Answers(answer), code="0_code")


def after(seconds):
    return SENT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("sample", "access", "refresh", "sellers"),
    [
        ("taobao_global_document", 10, 60, [(None, "10011", "1001", "HK001")]),
        ("aliexpress_document", 10, 60, [(None, "1001", "1001", None)]),
        ("aliexpress_guide", 3153599.922, 3153599.922, [(None, "1001", "1001", None)]),
        ("aliexpress_test_app", 86400, 172800, [(None, "1001", "1001", None)]),
        ("aliexpress_online_app", 2592000, 5184000, [(None, "4600000001", "4600000001", None)]),
        ("lazada_create", 604800, 2592000, [("my", "33747", "69904", "MY10RVM")]),
        ("lazada_refresh", 2592000, 2216273, [("my", "33766", "69941", "MY10RW7")]),
        (
            "lazada_document_mapping",
            10,
            60,
            [("sg", "2001", "1001", "SG1"), ("my", "2002", "1002", "MY1")],
        ),
        ("daraz_local_seller", 259200, 604800, [("bd", "100200", "7", "SC-9")]),
        ("wrapped_in_result", 2592000, 15552000, [(None, "10011", "1001", None)]),
    ],
)
async def test_every_market_gives_the_same_token(sample, access, refresh, sellers):
    """Text or numbers, user_Id, missing ids, three forms of the sellers."""
    answer = SAMPLES[sample]
    found = await token(answer)
    fields = answer.get("result", answer)
    assert (found.access_token, found.refresh_token) == (
        fields["access_token"],
        fields["refresh_token"],
    )
    assert (found.issued_at, found.expires_at) == (SENT, after(access))
    assert found.refresh_expires_at == after(refresh)
    assert found.sellers == tuple(iop.Seller(*seller) for seller in sellers)
    assert found.refreshable
    assert found.seller_id == sellers[0][1]


async def test_fields_of_a_seller_that_have_no_place_are_kept():
    """Alibaba.com's ``loginId``, say; lists that hold nothing more are not kept twice."""
    user = {"loginId": "cn100", "user_id": "7", "country": "GLOBAL"}
    found = await token({**MINIMAL, "user_info": user})
    assert found.sellers == (iop.Seller(country="global", user_id="7"),)
    assert found.extra == {"user_info": user}
    assert (await token(SAMPLES["lazada_refresh"])).extra == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"account": "a@b.c"}, "a@b.c"),
        ({"account_id": 7063844, "account": "a@b.c"}, "7063844"),
        ({"havana_id": "17"}, "17"),
        ({"user_info": {"loginId": "cn100"}}, "cn100"),
        ({"taobao_open_uid": "AAE"}, "AAE"),
        ({}, None),
    ],
)
async def test_a_token_without_a_seller_is_named_by_what_does_not_change(fields, expected):
    """Not by its access token, which is another one after each authorization."""
    from iop_async.endpoints._token_answer import id_without_seller

    assert id_without_seller(await token({**MINIMAL, **fields})) == expected


async def test_one_cross_border_token_serves_six_ventures():
    """Each venture is a seller of its own."""
    found = await token(SAMPLES["lazada_cross_border"])
    assert found.country == "cb"
    assert [seller.country for seller in found.sellers] == ["sg", "my", "vn", "th", "ph", "id"]


async def test_unknown_fields_are_kept_verbatim():
    """Including an ``error_code`` inside a success, and the platform's own spelling."""
    found = await token({**SAMPLES["taobao_global_document"], "New_Field": {"a": [1]}})
    assert found.extra == {"error_code": "error_code", "New_Field": {"a": [1]}}
    assert (found.account, found.account_id) == ("xxx@126.com", "7063844")
    assert found.account_platform == "seller_center"


MINIMAL = {"code": "0", "access_token": "a", "refresh_token": "r"}


@pytest.mark.parametrize(
    ("value", "access", "refresh"),
    [
        (10, after(10), after(10)),
        ("10", after(10), after(10)),
        (" 10 ", after(10), after(10)),
        (2592000.0, after(2592000), after(2592000)),
        ("2592000.0", after(2592000), after(2592000)),
        (2592000000, after(2592000), after(2592000)),
        ("15552000000", after(15552000), after(15552000)),
        (3153599922, after(3153599.922), after(3153599.922)),
        (99_999_999_999, after(99_999_999.999), after(99_999_999.999)),
        (1767323105000, after(60), after(60)),
        (0, None, SENT),
        ("0", None, SENT),
        (0.0, None, SENT),
        (-1, None, None),
        ("-15552000", None, None),
        (1767323045000, None, None),
        (10**15, None, None),
        (None, None, None),
        ("", None, None),
        ("abc", None, None),
        (True, None, None),
        ([], None, None),
        ({"a": 1}, None, None),
        ("NaN", None, None),
        ("Infinity", None, None),
        ("1e999999999", None, None),
        ("1e-999999999", None, None),
        (10**40, None, None),
    ],
)
async def test_lifetimes_however_they_are_written(value, access, refresh):
    """Sane ones are believed; of no other does a token live for ever, or die unused.

    A crash would come after the code was spent. Zero of a refresh token is the platform's word for
    "cannot be refreshed".
    """
    found = await token({**MINIMAL, "expires_in": value, "refresh_expires_in": value})
    assert (found.expires_at, found.refresh_expires_at) == (access, refresh)
    assert found.refreshable == (refresh != SENT)


async def test_a_lifetime_that_is_not_believed_is_kept_and_named():
    """So that whoever keeps the token can tell of it; one that is believed leaves no trace."""
    fine = await token({**MINIMAL, "expires_in": "60", "refresh_expires_in": 0})
    assert (iop.auth.doubtful_lifetimes(fine), fine.extra) == ((), {})
    odd = await token({**MINIMAL, "expires_in": 2592000000, "refresh_expires_in": -1})
    assert iop.auth.doubtful_lifetimes(odd) == ("expires_in", "refresh_expires_in")
    assert odd.extra == {"expires_in": 2592000000, "refresh_expires_in": -1}
    assert iop.auth.doubtful_lifetimes(await token(MINIMAL)) == ()


async def test_the_moment_beside_a_lifetime_of_no_sense_is_taken_for_it():
    """``expire_time`` is evidence of its own, milliseconds or seconds."""
    for moment in (1767323105000, "1767323105"):
        found = await token({**MINIMAL, "expires_in": 0, "expire_time": moment})
        assert found.expires_at == after(60)
    past = await token({**MINIMAL, "expire_time": 1704164645000})
    assert past.expires_at is None


async def test_missing_lifetimes_are_unknown_and_points_in_time_are_read():
    """``expire_time`` and ``refresh_token_valid_time`` are epoch milliseconds."""
    assert (await token(MINIMAL)).expires_at is None
    found = await token(
        {**MINIMAL, "expire_time": 1770542239000, "refresh_token_valid_time": "1773134239000"}
    )
    assert found.expires_at == datetime(2026, 2, 8, 9, 17, 19, tzinfo=UTC)
    assert found.refresh_expires_at == datetime(2026, 3, 10, 9, 17, 19, tzinfo=UTC)


@pytest.mark.parametrize("missing", [None, "", " "])
async def test_a_missing_refresh_token_is_none(missing):
    """And what is not there cannot be refreshed."""
    found = await token({**MINIMAL, "refresh_token": missing})
    assert found.refresh_token is None
    assert not found.refreshable


@pytest.mark.parametrize(
    "answer", [{"code": "0"}, {"code": "0", "access_token": ""}, {"code": "0", "data": [1]}]
)
async def test_an_answer_without_a_token_keeps_what_came(answer):
    """The code is spent: the raw answer is all there is."""
    with pytest.raises(iop.ProtocolError, match="no access token") as caught:
        await token(answer)
    assert json.loads(caught.value.content) == answer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    "expires_in refresh_expires_in expire_time refresh_token_valid_time country user_info "
    "country_user_info country_user_info_list seller_id user_Id account refresh_token".split()
)


@given(st.dictionaries(NAMES, JSON))
def test_no_shape_of_the_other_fields_crashes_the_reader(fields):
    """Whoever paid a code for the answer gets a token out of it."""
    from iop_async.endpoints._token_answer import parse_token

    found = parse_token(iop.Reply({"access_token": "a", **fields}, sent_at=SENT))
    assert found.access_token == "a"
    assert found.expires_at is None or found.expires_at.tzinfo is UTC


async def test_a_reply_that_was_never_sent_is_no_token():
    """Lifetimes count from the sending."""
    from iop_async.endpoints._token_answer import parse_token

    with pytest.raises(ValueError, match="sent_at"):
        parse_token(iop.Reply(MINIMAL))


@pytest.mark.parametrize(
    ("endpoint", "argument", "api"),
    [
        (iop.auth.create_token, "code", "/auth/token/create"),
        (iop.auth.refresh_token, "refresh_token", "/auth/token/refresh"),
        (iop.auth.create_security_token, "code", "/auth/token/security/create"),
        (iop.auth.refresh_security_token, "refresh_token", "/auth/token/security/refresh"),
    ],
)
async def test_the_four_token_endpoints(endpoint, argument, api):
    """Each calls its path once and says that a repetition would not be harmless."""
    caller = Answers(MINIMAL)
    await endpoint(caller, **{argument: "secret"})
    (call,) = caller.calls
    assert (call[0], call[1][argument], call[2]) == (api, "secret", {"idempotent": False})


async def test_uuid_is_sent_with_a_warning():
    """The gateway documents it and answers InvalidCode."""
    caller = Answers(MINIMAL)
    with pytest.warns(UserWarning, match="InvalidCode when uuid is passed"):
        await iop.auth.create_token(caller, code="c", uuid="u")
    assert caller.calls[0][1]["uuid"] == "u"


class Bare:
    """A gateway of a user's own: the two methods that one must have."""

    encode = staticmethod(iop.gateways.ALIEXPRESS.encode)
    decode = staticmethod(iop.gateways.ALIEXPRESS.decode)
    base_url = "https://gateway.example/rest"


async def test_a_gateway_that_names_no_token_endpoints_has_those_of_iop():
    """A user's own gateway needs to encode and decode, and nothing more."""
    urls = []

    class Recorded:
        async def send(self, request):
            urls.append(request.url)
            return iop.HttpResponse(200, {}, json.dumps({**MINIMAL, "seller_id": "1"}).encode())

        async def aclose(self): ...

    client = iop.Client(iop.App("k", "s"), Bare(), transport=Recorded())
    async with iop.TokenManager(client, iop.stores.MemoryStore(), keeper=False) as tokens:
        await tokens.authorize("0_code")
    assert urls == ["https://api-sg.aliexpress.com/rest/auth/token/create"]
