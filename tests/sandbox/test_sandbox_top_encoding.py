"""One nested value is written as JSON and as XML, and both are read as the same answer.

XML has no types, so what is equal is equal up to this, which is all that is lost:

- a number is its digits, ``true`` and ``false`` are these words;
- an empty object, an empty list and an empty text are all an empty text;
- characters that XML 1.0 cannot hold are gone.

``None`` is written in neither.
"""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inside import call
from top_helpers import ECHO, TopCaller

from iop_async._models import Call
from iop_async._wire import HttpResponse
from iop_async.gateways import Top
from iop_async.sandbox import Sandbox
from iop_async.sandbox._top.encoding import json_body, xml_body

SANDBOX = Sandbox(profile="taobao")
API = Call(ECHO)
ROOT = "sandbox_echo_response"
GATEWAYS = {name: Top("http://127.0.0.1/router/rest", format=name) for name in ("json", "xml")}
NOT_IN_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

text = st.text(st.characters(exclude_categories=["Cs"]))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
nested = st.recursive(
    text | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


def read(body):
    return GATEWAYS["json"].decode(API, HttpResponse(200, {}, body)).data


def without_types(value):
    """What XML keeps of a value that JSON holds."""
    if isinstance(value, dict):
        return {name: without_types(member) for name, member in value.items()} or ""
    if isinstance(value, list):
        return [without_types(member) for member in value] or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return NOT_IN_XML.sub("", str(value))


def without_none(value):
    if isinstance(value, dict):
        return {n: without_none(member) for n, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_none(member) for member in value if member is not None]
    return value


def is_text(value):
    """Whether a value is one that XML can say: texts, and what holds them."""
    if isinstance(value, dict):
        return all(map(is_text, value.values()))
    return all(map(is_text, value)) if isinstance(value, list) else isinstance(value, str)


@given(fields=st.dictionaries(names, nested, max_size=5))
@example(fields={"a": "\r\n\t \r", "b": "\0\x1b\ufffe\x85\u2028", "c": "]]>&<'\"\U0001f375"})
@example(fields={"data": None, "items": [], "result": {}})
@example(fields={"a": [[1, 2], [[]], "x", {"s": [None]}]})
def test_json_and_xml_are_read_as_the_same_answer_and_simplified_json_is_it(fields):
    from_xml = read(xml_body(ROOT, fields))
    assert without_types(from_xml) == without_types(read(json_body(ROOT, fields)))
    assert is_text(from_xml)
    assert json.loads(json_body(ROOT, fields, simplify=True)) == without_none(fields)


@settings(max_examples=30)
@given(value=st.lists(nested, max_size=4) | st.dictionaries(names, nested, max_size=4))
def test_a_value_goes_through_the_gateway_and_comes_back_in_either_format(value):
    asked = Call(ECHO, {"value": value})
    from_json, from_xml = (call(SANDBOX, gateway, asked).data for gateway in GATEWAYS.values())
    assert without_types(from_json["value"]) == without_types(from_xml["value"])
    simple = Call(ECHO, {"value": value}, simplify=True)
    assert call(SANDBOX, GATEWAYS["json"], simple).data["value"] == without_none(value)


def test_lists_are_written_as_top_writes_them():
    fields = {
        "items": [{"id": 1}],
        "tags": ["a", "b"],
        "ids": [1, 2],
        "mixed": [1, "a", True],
        "none": [],
        "gone": None,
        "is_new": True,
    }
    assert json.loads(json_body("x_response", fields)) == {
        "x_response": {
            "items": {"item": [{"id": 1}]},
            "tags": {"string": ["a", "b"]},
            "ids": {"number": [1, 2]},
            "mixed": {"item": [1, "a", True]},
            "none": {},
            "is_new": True,
        }
    }
    assert xml_body("x_response", fields).decode() == (
        '<?xml version="1.0" encoding="utf-8" ?><x_response>'
        '<items list="true"><item><id>1</id></item></items>'
        '<tags list="true"><string>a</string><string>b</string></tags>'
        '<ids list="true"><number>1</number><number>2</number></ids>'
        '<mixed list="true"><item>1</item><item>a</item><item>true</item></mixed>'
        '<none list="true"></none><is_new>true</is_new></x_response><!--sandbox-->'
    )


@pytest.mark.parametrize(
    ("name", "tag"), [("a b", "a_b"), ("1st", "_1st"), ("", "_"), ("<x>", "_x_"), ("标题", "__")]
)
def test_any_name_becomes_one_that_xml_allows(name, tag):
    assert read(xml_body(ROOT, {name: "v"})) == {tag: "v"}


def test_nothing_in_a_value_can_end_its_element():
    hostile = '</a><a list="true"><!-- ]]> <![CDATA[ &amp; <?php ?> <!DOCTYPE x>'
    assert read(xml_body(ROOT, {"a": hostile})) == {"a": hostile}


@pytest.mark.parametrize(
    "value",
    ["{", "", "[1", "nul", "[" * 100_000, "[" * 70 + "]" * 70, "1" * 5000],
    ids=["open", "blank", "cut", "word", "endless", "deep", "digits"],
)
async def test_a_value_that_is_no_json_or_too_deep_is_an_invalid_argument(value):
    async with TopCaller(SANDBOX) as caller:
        error = await caller.top(ECHO, {"value": value})
    assert (error["code"], error["msg"]) == (41, "Invalid arguments:value")
    assert error["sub_code"] == "isv.invalid-parameter"
