"""JSON is read alike with and without msgspec: the same values, types and refusals."""

import json
import math
import subprocess
import sys
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iop_async import _json

SPACE = st.text(" \t\n\r", max_size=2)
INTEGERS = st.one_of(
    st.integers(),
    st.sampled_from([1, -1]).flatmap(
        lambda sign: st.integers(-2, 2).map(lambda off: sign * 2**63 + off)
    ),
    st.integers(-2, 2).map(lambda off: 2**64 + off),
    st.integers(-(10**60), 10**60),
).map(str)
FRACTIONS = st.tuples(
    INTEGERS,
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,30}", fullmatch=True)),
    st.one_of(st.just(""), st.from_regex(r"[eE][+-]?[0-9]{1,4}", fullmatch=True)),
).map("".join)
CONSTANTS = st.sampled_from(
    [
        *("null", "true", "false", "-0", "-0.0", "1.10", "1E5", "1e400", "-1e400", "1e-400"),
        *("5e-324", "NaN", "Infinity", "-Infinity", "1e99999999999999999999"),
        *("01", "1.", ".5", "+1", "-", "True", ""),
    ]
)
PIECES = st.one_of(
    st.text(st.characters(exclude_characters='"\\'), max_size=5),
    st.from_regex(r"\\u[0-9a-fA-F]{4}", fullmatch=True),
    st.sampled_from(
        ["\\ud83d\\ude00", "\\ud800", "\\udc00\\ud800", "\\u0000", '\\"', "\\/", "\\x"]
    ),
    st.sampled_from(["\n", "\x00", "\x7f", "\ufeff", "\u2028", "\uffff", "棉", "😀"]),
)
STRINGS = st.lists(PIECES, max_size=4).map(lambda pieces: f'"{"".join(pieces)}"')


def _containers(values):
    """Of lists and objects; of these, names come twice, too."""
    spaced = st.tuples(SPACE, values, SPACE).map("".join)
    names = st.one_of(STRINGS, st.sampled_from(['"a"', '"b"', '""', "null"]))
    members = st.tuples(SPACE, names, SPACE, spaced).map(lambda m: f"{m[0]}{m[1]}{m[2]}:{m[3]}")
    return st.one_of(
        st.lists(spaced, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(members, max_size=4).map(lambda items: f"{{{','.join(items)}}}"),
    )


TEXTS = st.recursive(st.one_of(FRACTIONS, STRINGS, CONSTANTS), _containers, max_leaves=12)


@st.composite
def contents(draw):
    """JSON in some encoding, now and then with a few bytes that are not there or too many."""
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
    content = draw(TEXTS).encode(encoding, "surrogatepass")
    at = draw(st.integers(0, len(content)))
    spoiled = content[:at] + draw(st.binary(max_size=3)) + content[at + draw(st.integers(0, 3)) :]
    return draw(st.sampled_from([content, content, content, spoiled]))


def by_standard_library(content, **options):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_json, "_msgspec_decode", lambda _decimal: None)
        return outcome(content, **options)


def outcome(content, **options):
    """The value with the types of all its parts, the order of names, and the sign of a zero."""
    try:
        return repr(_json.loads(content, **options))
    except _json.JsonRefused as refused:
        return f"refused: {refused}"


OPTIONS = st.fixed_dictionaries({"strict": st.booleans(), "decimal": st.booleans()})


@given(contents(), OPTIONS)
def test_both_decoders_read_alike(content, options):
    assert outcome(content, **options) == by_standard_library(content, **options)


@given(TEXTS, OPTIONS)
def test_both_decoders_read_text_alike(text, options):
    assert outcome(text, **options) == by_standard_library(text, **options)


@pytest.mark.parametrize("options", [{}, {"strict": True}, {"decimal": True}])
@pytest.mark.parametrize(
    "content",
    [
        *(b"[" * depth + b"]" * depth for depth in (100, 101, 500, 5000)),
        b"[" * 5000,
        b"9" * 4300,
        b"9" * 4301,
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1, "b": 2, "a": 3}',
        b'{"a": 1}\0',
        b"[1,]",
        b"",
    ],
    ids=lambda content: repr(content)[:24],
)
def test_both_decoders_refuse_alike(content, options):
    assert outcome(content, **options) == by_standard_library(content, **options)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", "0", "1", "0" * 800]))
def test_both_decoders_round_alike(number, behind):
    """Half-way between two floats, where digits far behind decide."""
    with localcontext(prec=1200):
        halfway = (Decimal(number) + Decimal(math.nextafter(number, 0))) / 2
    text = f"{halfway:f}"
    content = f"[{text if '.' in text else f'{text}.0'}{behind}, {number!r}]"
    assert outcome(content) == by_standard_library(content)
    assert outcome(content).startswith("[")


@pytest.fixture(params=["msgspec", "standard library"])
def decoder(request, monkeypatch):
    if request.param == "standard library":
        monkeypatch.setitem(sys.modules, "msgspec", None)
        monkeypatch.setitem(sys.modules, "msgspec.json", None)
    _json._msgspec_decode.cache_clear()
    yield request.param
    _json._msgspec_decode.cache_clear()


@pytest.mark.parametrize(
    ("number", "value", "as_decimal"),
    [
        ("18446744073709551615", 2**64 - 1, None),
        ("18446744073709551617", 2**64 + 1, None),
        ("-9223372036854775809", -(2**63) - 1, None),
        ("1" + "0" * 30, 10**30, None),
        ("-0", 0, None),
        ("1.10", 1.1, "1.10"),
        ("1E5", 100000.0, "1E+5"),
        ("1e400", float("inf"), "1E+400"),
        ("0.1000000000000000055511151231257827021", 0.1, "0.1000000000000000055511151231257827021"),
        ("123456789012345678901234567890.5", 1.2345678901234568e29, None),
    ],
)
def test_numbers_are_exact(decoder, number, value, as_decimal):
    content = f'{{"n": {number}}}'.encode()
    read = _json.loads(content)["n"]
    assert (read, type(read)) == (value, type(value))
    read = _json.loads(content, decimal=True)["n"]
    if type(value) is int:
        assert (read, type(read)) == (value, int)
    else:
        assert (str(read), type(read)) == (as_decimal or number, Decimal)


def test_what_msgspec_refuses_is_read_all_the_same(decoder):
    text = '{"a": "line\nline", "b": NaN, "c": "\\ud800"}'
    assert repr(_json.loads(text)) == repr(json.loads(text, strict=False))
    with pytest.raises(_json.JsonRefused, match="unreadable JSON"):
        _json.loads(text, strict=True)


def test_an_ordinary_answer_is_msgspec_s_where_it_is_installed(decoder, monkeypatch):
    def refuse(*_):
        pytest.fail("read by the standard library")

    monkeypatch.setattr(_json, "_decoder", refuse)
    content = '{"code": "0", "data": [1, 2.5, "棉", 18446744073709551617]}'.encode()
    if decoder == "msgspec":
        assert _json.loads(content)["data"] == [1, 2.5, "棉", 2**64 + 1]
    else:
        with pytest.raises(pytest.fail.Exception):
            _json.loads(content)


def test_too_many_values_are_refused_before_either_reads(decoder, monkeypatch):
    def refuse(*_, **__):
        pytest.fail("read")

    monkeypatch.setattr(_json, "_decode", refuse)
    with pytest.raises(_json.JsonRefused, match="more than 9 values"):
        _json.loads(b"[1,1,1,1,1,1,1,1,1,1]", max_values=9)


def test_the_decoder_is_imported_before_the_first_answer():
    """By whoever makes a client, outside of any call."""
    script = (
        "import sys, iop_async as iop\n"
        "assert 'msgspec' not in sys.modules\n"
        "iop.Client(iop.App('1', 'secret'), iop.gateways.AIDGE, transport=iop.FastTransport())\n"
        "assert 'msgspec' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
