"""A caller for tests: it answers from a dict, remembers, and refuses what a client refuses."""

import inspect
from datetime import UTC, datetime

import pytest

import iop_async as iop
from iop_async.testing import FakeCaller


async def test_five_lines_make_a_test():
    """An answer for an API, the code under test, and what it called."""
    fake = FakeCaller({"/order/get": {"order_id": 42}})
    reply = await fake.call("/order/get", {"id": 42}, idempotent=True)
    assert reply.data == {"order_id": 42}
    assert fake.calls == [iop.Call("/order/get", {"id": 42}, idempotent=True)]


async def test_it_is_called_as_every_caller_is():
    """The same parameters, with the same defaults, as the protocol and the client."""
    assert isinstance(FakeCaller({}), iop.Caller)
    signatures = {inspect.signature(each.call) for each in (iop.Caller, iop.Client, FakeCaller)}
    assert len(signatures) == 1


async def coroutine(params):
    return {"page": params["page"]}


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        ([1, 2], [1, 2]),
        (None, None),
        (iop.Reply("whole", request_id="r"), "whole"),
        (lambda params: {"page": params["page"]}, {"page": 3}),
        (lambda params: iop.Reply("whole"), "whole"),
        (coroutine, {"page": 3}),
    ],
    ids=["data", "none", "reply", "callable", "callable-reply", "coroutine"],
)
async def test_an_answer_is_data_a_reply_or_what_a_callable_makes_of_the_parameters(answer, data):
    """Whichever says it shortest."""
    reply = await FakeCaller({"a.b.get": answer}).call("a.b.get", {"page": 3})
    assert isinstance(reply, iop.Reply)
    assert reply.data == data


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: lambda params: error])
async def test_an_exception_is_raised_as_often_as_it_is_asked_for(wrap):
    """Without growing: each time it has the traceback of that time alone."""
    fake = FakeCaller({"/a": wrap(iop.Throttled("ApiCallLimit", retry_after=1.0))})
    depths = set()
    for _ in range(3):
        with pytest.raises(iop.Throttled) as caught:
            await fake.call("/a")
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    assert len(fake.calls) == 3


async def test_answers_that_follow_each_other_are_an_iterator():
    """A failure first, then a success."""
    answers = iter([iop.TransportError("cut"), {"ok": True}])
    fake = FakeCaller({"/a": lambda params: next(answers)})
    with pytest.raises(iop.TransportError):
        await fake.call("/a")
    assert (await fake.call("/a")).data == {"ok": True}


async def test_an_unknown_api_is_an_error_that_lists_the_known_ones():
    """And no ``IopError``, which the code under test may handle."""
    fake = FakeCaller({"/b": {}, "/rest/a": {}})
    with pytest.raises(LookupError, match=r"no answer to /c; it has answers to: /a, /b") as caught:
        await fake.call("/c")
    assert not isinstance(caught.value, iop.IopError)
    with pytest.raises(LookupError, match="answers to: none"):
        await FakeCaller({}).call("/c")


@pytest.mark.parametrize(
    ("api", "options", "error"),
    [
        ("https://a.b/rest/order/get", {}, ValueError),
        ("/a", {"params": {"price": 1.5}}, TypeError),
        ("/a", {"params": {"since": datetime(2026, 1, 1)}}, ValueError),  # noqa: DTZ001
        ("/a", {"files": {"f": "path"}}, TypeError),
        ("/a", {"timeout": 0}, ValueError),
        ("/a", {"http_method": "PUT"}, ValueError),
    ],
)
async def test_what_a_client_refuses_it_refuses(api, options, error):
    """A test that passes with a fake shall not fail at the first real call for bad input."""
    fake = FakeCaller({"/a": {}})
    with pytest.raises(error):
        await fake.call(api, **options)
    assert fake.calls == []


async def test_a_class_of_exceptions_is_no_answer():
    """It would be called with the parameters."""
    with pytest.raises(TypeError, match="class Throttled; give an instance"):
        FakeCaller({"/a": iop.Throttled})


async def test_answers_and_calls_are_copies():
    """Who changes what it got, or what it gave, changes neither the next answer nor the record."""
    fake = FakeCaller({"/a": {"orders": [1]}})
    params = {"ids": [1]}
    (await fake.call("/a", params)).data["orders"].clear()
    params["ids"].append(2)
    assert (await fake.call("/a", params)).data == {"orders": [1]}
    assert [call.params["ids"] for call in fake.calls] == [[1], [1, 2]]


async def test_endpoint_coroutines_take_it():
    """A token's lifetimes count from the moment of the fake call."""
    fake = FakeCaller(
        {"/auth/token/create": {"access_token": "a-token", "expires_in": "3600", "seller_id": "1"}}
    )
    before = datetime.now(UTC)
    token = await iop.auth.create_token(fake, code="c")
    assert token.seller_id == "1"
    assert (token.expires_at - before).total_seconds() == pytest.approx(3600, abs=60)
    assert repr(fake) == "FakeCaller(['/auth/token/create'])"
