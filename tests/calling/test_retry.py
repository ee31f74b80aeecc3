"""Whether a call is tried again, and when: as a function of what is known."""

import io

import pytest
import trio
from attrs import evolve
from crowd import in_virtual_time

import iop_async as iop
from iop_async.calling._retry import RetryBudget, is_idempotent, wait_before_retry

RETRY = iop.Retry()
READ, WRITE = iop.Call("/order/get"), iop.Call("/order/ship")
REFRESH = iop.Call("/auth/token/refresh", {"refresh_token": "r"}, idempotent=False)
CREATE = iop.Call("/auth/token/create", {"code": "c"}, idempotent=False)

REFUSED = iop.TransportError("no connection", may_have_been_applied=False)
RESET = iop.TransportError("the connection broke")
WRONG = iop.SignatureError("IncompleteSignature")


def wait(error, call, *, attempts=1, left=30.0, budget=10.0, jitter=0.5, retry=RETRY):
    return wait_before_retry(
        retry,
        error,
        (call,),
        attempts=attempts,
        left=left,
        budget=budget,
        jitter=jitter,
    )


def banned(seconds):
    return iop.Throttled("ApiCallLimit", retry_after=seconds)


@pytest.mark.parametrize("call", [READ, WRITE, CREATE], ids=["read", "write", "create"])
def test_what_was_certainly_not_applied_is_tried_again(call):
    assert wait(REFUSED, call) is not None
    assert wait(banned(1.0), call) is not None


def test_what_may_have_been_applied_is_tried_again_where_that_is_harmless():
    assert wait(RESET, READ) is not None
    assert wait(RESET, evolve(WRITE, idempotent=True)) is not None
    for call in (WRITE, CREATE, evolve(READ, idempotent=False)):
        assert wait(RESET, call) is None


def test_a_refresh_belongs_to_the_token_manager():
    """Not even one that was certainly not sent; nor the one of TOP."""
    top = iop.Call("taobao.top.auth.token.refresh", {"refresh_token": "r"}, idempotent=True)
    assert wait(REFUSED, REFRESH) is None
    assert wait(REFUSED, top) is None


def test_what_fails_again_is_not_tried_again():
    assert wait(WRONG, READ) is None
    assert wait(iop.ApiError("ITEM_NOT_FOUND"), READ) is None


@pytest.mark.parametrize(
    ("api", "is_read"),
    [
        ("/order/get", True),
        ("/orders/items/get/", True),
        ("aliexpress.trade.order.query", True),
        ("taobao.items.list.get", True),
        ("/traffic/item/search", True),
        ("taobao.products.search", True),
        ("/product/price_quantity/update", False),
        ("/order/getandlock", False),
        ("/widget", False),
        ("/target", False),
        ("/auth/token/get", False),
    ],
)
def test_a_read_is_told_by_its_name(api, is_read):
    assert is_idempotent(iop.Call(api)) == is_read
    assert is_idempotent(iop.Call(api, idempotent=True))
    assert not is_idempotent(iop.Call(api, idempotent=False))


def test_backoff_doubles_with_full_jitter():
    retry = iop.Retry(attempts=100)
    widest = [
        wait(RESET, READ, attempts=attempts, jitter=1.0, retry=retry)
        for attempts in (1, 2, 3, 4, 5, 50)
    ]
    assert widest == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert wait(RESET, READ, jitter=0.0) == 0.0


def test_what_the_gateway_names_is_obeyed():
    for jitter in (0.0, 1.0):
        assert 7.0 < wait(banned(7.0), READ, jitter=jitter) < 8.0
    assert wait(banned(7.0), READ, left=7.0) is None
    assert wait(banned(86_400.0), READ) is None


def test_nothing_is_tried_beyond_its_number_its_time_and_the_budget():
    assert wait(REFUSED, READ, attempts=3) is None
    assert wait(REFUSED, READ, left=0.0, jitter=0.0) is None
    assert wait(REFUSED, READ, budget=0.9) is None


@pytest.mark.parametrize("waited", [0.0, iop.Timeouts().pool], ids=["at once", "in line"])
def test_a_read_that_got_no_answer_in_time_is_tried_once_more(waited):
    """By the defaults: also where it had waited for a connection; a write is not."""
    tries = []

    class Silent:
        async def send(self, request):
            tries.append(trio.current_time())
            if len(tries) > 1:
                return iop.HttpResponse(200, {}, b'{"code":"0","data":{}}')
            await trio.sleep(waited + iop.Timeouts().read)
            raise iop.TransportTimeout("no answer")

        async def aclose(self):
            pass

    async def read():
        client = iop.Client(iop.App("k", "s"), iop.gateways.TAOBAO_GLOBAL, transport=Silent())
        await client.call("/order/get")
        tries.clear()
        with pytest.raises(iop.TransportTimeout):
            await client.call("/order/ship")

    in_virtual_time(read)
    assert len(tries) == 1


def test_what_a_file_was_read_for_is_not_sent_twice():
    """Unless it can be read from where it began."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    def upload(content):
        return iop.Call("/image/upload", files={"image": content}, idempotent=True)

    assert wait(RESET, upload(io.BytesIO(b"x"))) is not None
    assert wait(RESET, upload(b"x")) is not None
    assert wait(REFUSED, upload(Pipe(b"x"))) is None


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"attempts": 0}, ValueError),
        ({"attempts": True}, TypeError),
        ({"attempts": 2.5}, TypeError),
        ({"within": 0}, ValueError),
        ({"within": "5"}, TypeError),
    ],
)
def test_a_bad_setting_says_what_to_give(wrong, error):
    (name,) = wrong
    with pytest.raises(error, match=f"{name} is .*; give"):
        iop.Retry(**wrong)


def test_repeats_are_a_share_of_the_calls():
    """A hundred at once, then one for ten calls, and one a second."""
    budget = RetryBudget()
    assert budget.left(1000.0) == 100
    for _ in range(100):
        budget.spend()
    assert budget.left(1000.0) == 0
    budget.calls += 50
    assert budget.left(1000.0) == pytest.approx(5)
    assert budget.left(1003.0) == pytest.approx(8)
    budget.calls += 1_000_000
    assert budget.left(1004.0) == 100
    assert budget.left(900.0) == 100
