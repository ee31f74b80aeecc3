"""TOP's answers: wrapped, in XML unless JSON is asked for, simplified only in JSON."""

import re
from xml.etree import ElementTree as ET

import pytest
from top_helpers import ECHO, TopCaller, signed

from iop_async.sandbox import Sandbox

TRADES = "taobao.trades.sold.get"


@pytest.fixture
async def caller():
    async with TopCaller(Sandbox(profile="taobao")) as caller:
        yield caller


@pytest.fixture
def session(caller):
    return caller.sandbox.grant("1001")["access_token"]


async def test_xml_is_what_one_gets_without_asking(caller):
    response = await caller.ask("taobao.time.get", format=None)
    assert response.headers["content-type"] == "text/xml;charset=UTF-8"
    root = ET.fromstring(response.text)
    assert root.tag == "time_get_response"
    assert [child.tag for child in root] == ["time", "request_id"]


async def test_json_is_wrapped_in_the_method_s_name(caller):
    response = await caller.ask("taobao.time.get")
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert response.json().keys() == {"time_get_response"}
    assert response.json()["time_get_response"].keys() == {"time", "request_id"}


async def test_every_answer_has_a_request_id_of_its_own(caller):
    answers = [await caller.top(ECHO), await caller.top("taobao.no.such"), await caller.top(ECHO)]
    ids = {answer["request_id"] for answer in answers}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}\d{17}", request_id) for request_id in ids)


async def test_a_profile_with_trace_ids_has_none_here():
    async with TopCaller(Sandbox(profile="lazada")) as caller:
        assert "_trace_id_" not in (await caller.ask(ECHO)).text


async def test_an_error_says_the_same_in_both_formats(caller):
    params = {"tid": "999999", "fields": "tid"}
    token = caller.sandbox.grant("1001")["access_token"]
    as_json = await caller.top("taobao.trade.fullinfo.get", params, session=token)
    response = await caller.ask("taobao.trade.fullinfo.get", params, session=token, format="xml")
    root = ET.fromstring(response.text)
    assert root.tag == "error_response"
    as_xml = {child.tag: child.text for child in root}
    del as_json["request_id"], as_xml["request_id"]
    assert as_json == {
        "code": 15,
        "msg": "Remote service error",
        "sub_code": "isv.trade-not-exist",
        "sub_msg": "交易不存在",
    }
    assert as_xml == as_json | {"code": "15"}


async def test_lists_stand_in_an_element_of_their_own(caller, session):
    params = {"fields": "tid,orders.title", "page_size": "2"}
    answer = await caller.top(TRADES, params, session=session)
    trades = answer["trades"]["trade"]
    assert [trade.keys() for trade in trades] == [{"tid", "orders"}] * 2
    assert trades[0]["orders"]["order"][0]["title"]
    response = await caller.ask(TRADES, params, session=session, format="xml")
    root = ET.fromstring(response.text)
    assert root.find("trades").attrib == {"list": "true"}
    assert [tid.text for tid in root.iterfind("trades/trade/tid")] == [
        str(trade["tid"]) for trade in trades
    ]


async def test_simplify_drops_the_wrapper_and_unnests_lists(caller, session):
    params = {"fields": "tid,orders", "page_size": "2"}
    full = await caller.top(TRADES, params, session=session)
    simple = (await caller.ask(TRADES, params, session=session, simplify="true")).json()
    assert simple.keys() == {"trades", "total_results", "request_id"}
    assert [t["tid"] for t in simple["trades"]] == [t["tid"] for t in full["trades"]["trade"]]
    assert simple["trades"][0]["orders"] == full["trades"]["trade"][0]["orders"]["order"]


async def test_simplify_leaves_the_wrapper_of_an_error(caller):
    response = await caller.ask("taobao.no.such", simplify="true")
    assert response.json()["error_response"]["code"] == 22


async def test_simplify_means_nothing_to_xml(caller):
    response = await caller.ask("taobao.time.get", format="xml", simplify="true")
    assert ET.fromstring(response.text).tag == "time_get_response"


async def test_an_error_about_the_format_comes_in_xml(caller):
    form = signed(caller.sandbox, {"method": ECHO}, format="yaml")
    response = await caller.http.post("/router/rest", data=form)
    assert "<code>23</code><msg>Invalid format</msg>" in response.text
