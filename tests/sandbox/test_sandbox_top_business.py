"""TOP's business APIs: made up, always the same, strict about their arguments."""

import pytest
from sandbox_helpers import sha256
from top_helpers import ECHO, TopCaller, china, signed

from iop_async.sandbox import Sandbox

TRADES, TRADE = "taobao.trades.sold.get", "taobao.trade.fullinfo.get"


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        yield caller


@pytest.fixture
def session(caller):
    return caller.sandbox.grant("1001")["access_token"]


async def trades(caller, session, fields="tid", **params):
    return await caller.top(TRADES, {"fields": fields, **params}, session=session)


async def test_the_time_is_the_sandbox_s_in_china(caller):
    caller.sandbox.clock.speed = 0
    caller.sandbox.clock.skew = 3600
    assert (await caller.top("taobao.time.get"))["time"] == china(caller.sandbox)


async def test_the_caller_s_address(caller):
    assert (await caller.top("taobao.appip.get"))["ip"] == "127.0.0.1"


async def test_the_seller_is_the_session_s(caller, session):
    answer = await caller.top(
        "taobao.user.seller.get", {"fields": "nick, seller_credit"}, session=session
    )
    assert answer["user"].keys() == {"nick", "seller_credit"}
    assert answer["user"]["nick"] == caller.sandbox.sellers["1001"].account


async def test_pages_hold_all_trades_once_newest_first(caller, session):
    answers = [
        await trades(caller, session, "tid,created", page_no=str(page), page_size="50")
        for page in (1, 2, 3)
    ]
    pages = [answer["trades"]["trade"] for answer in answers]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert {answer["total_results"] for answer in answers} == {120}
    everything = [trade for page in pages for trade in page]
    assert len({trade["tid"] for trade in everything}) == 120
    created = [trade["created"] for trade in everything]
    assert created == sorted(created, reverse=True)
    beyond = await trades(caller, session, page_no="9")
    assert (beyond["trades"], beyond["total_results"]) == ({}, 120)


async def test_has_next_instead_of_a_count(caller, session):
    first = await trades(caller, session, use_has_next="true", page_size="100")
    last = await trades(caller, session, use_has_next="true", page_size="100", page_no="2")
    assert (first["has_next"], last["has_next"]) == (True, False)
    assert "total_results" not in first


async def test_trades_are_found_by_status_and_time(caller, session):
    every = (await trades(caller, session, "tid,status,created", page_size="100"))["trades"][
        "trade"
    ]
    for status in {trade["status"] for trade in every}:
        found = await trades(caller, session, "status", status=status, page_size="100")
        assert {trade["status"] for trade in found["trades"]["trade"]} == {status}
    day = {"start_created": every[20]["created"], "end_created": every[10]["created"]}
    found = (await trades(caller, session, "tid", **day))["trades"]["trade"]
    assert [trade["tid"] for trade in found] == [trade["tid"] for trade in every[10:21]]


async def test_a_trade_by_its_id_is_the_one_of_the_list(caller, session):
    fields = "tid,payment,orders,receiver_name"
    listed = (await trades(caller, session, fields, page_size="1"))["trades"]["trade"][0]
    answer = await caller.top(TRADE, {"fields": fields, "tid": str(listed["tid"])}, session=session)
    assert answer["trade"] == listed
    assert listed["tid"] > 2**53
    paid = sum(float(order["payment"]) for order in listed["orders"]["order"])
    assert f"{paid:.2f}" == listed["payment"]


async def test_another_seller_s_trade_does_not_exist(caller, session):
    other = caller.sandbox.grant("1002")["access_token"]
    tid = (await trades(caller, other))["trades"]["trade"][0]["tid"]
    error = await caller.top(TRADE, {"fields": "tid", "tid": str(tid)}, session=session)
    assert (error["code"], error["sub_code"]) == (15, "isv.trade-not-exist")


@pytest.mark.parametrize(
    ("api", "params", "code", "name"),
    [
        (TRADES, {}, 40, "fields"),
        (TRADES, {"fields": "nothing,known"}, 41, "fields"),
        (TRADES, {"fields": "tid", "page_size": "101"}, 41, "page_size"),
        (TRADES, {"fields": "tid", "page_size": "0"}, 41, "page_size"),
        (TRADES, {"fields": "tid", "page_no": "-1"}, 41, "page_no"),
        (TRADE, {"fields": "tid"}, 40, "tid"),
        (TRADE, {"fields": "tid", "tid": "9" * 5000}, 41, "tid"),
        (TRADE, {"fields": "tid", "tid": "٣"}, 41, "tid"),
        ("taobao.picture.upload", {}, 40, "picture_category_id"),
        ("taobao.picture.upload", {"picture_category_id": "0"}, 40, "image_input_title"),
    ],
)
async def test_arguments_that_are_missing_or_wrong_are_named(
    caller, session, api, params, code, name
):
    error = await caller.top(api, params, session=session)
    words = "Missing required" if code == 40 else "Invalid"
    assert (error["code"], error["msg"]) == (code, f"{words} arguments:{name}")


async def test_a_picture_is_measured(caller, session):
    content = b"\x89PNG" * 5000
    params = {"picture_category_id": "7", "image_input_title": "茶壶"}
    form = signed(caller.sandbox, {"method": "taobao.picture.upload", **params}, session=session)
    file = {"img": ("a.png", content, "image/png")}
    response = await caller.http.post("/router/rest", data=form, files=file)
    picture = response.json()["picture_upload_response"]["picture"]
    assert (picture["title"], picture["picture_category_id"]) == ("茶壶", 7)
    assert (picture["sizes"], picture["sha256"]) == (len(content), sha256(content))
    error = await caller.top("taobao.picture.upload", params, session=session)
    assert (error["code"], error["msg"]) == (40, "Missing required arguments:img")


async def test_an_echo_has_no_system_parameters(caller, session):
    system = {"partner_id": "p", "target_app_key": "9", "simplify": "false", "session": session}
    answer = await caller.top(ECHO, {"a": "茶", "access_token": "mine"}, **system)
    assert answer["params"] == {"a": "茶", "access_token": "mine"}
    assert answer["files"] == {}


async def test_an_echo_reads_json_in_value(caller):
    answer = await caller.top(ECHO, {"value": '{"ids":[1,2],"none":null,"ok":true,"f":1.5}'})
    assert answer["value"] == {"ids": {"number": [1, 2]}, "ok": True, "f": 1.5}
