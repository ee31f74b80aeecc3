"""Answers that nobody would send, through every decoder: a drill.

``IOP_ASYNC_FUZZED`` says how many (20,000), ``IOP_ASYNC_FUZZ_SEED`` repeats a run.
"""

import gzip
import json
import os
import random
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

import iop_async as iop

pytestmark = pytest.mark.drill

COUNT = int(os.environ.get("IOP_ASYNC_FUZZED", "20000"))
SEED = int(os.environ.get("IOP_ASYNC_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
MOST_SECONDS = 0.1
MOST_BYTES = 50_000_000
LARGE = 50_000

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SENT = iop.Call("/order/get", {"refresh_token": "50001r1secret"}, access_token="50000a1secret")
CALLS = [iop.Call("taobao.x.y", access_token=f"62019s{n}") for n in (1, 2)]
SEPARATOR = b"\r\n-S-\r\n"

CORPUS = [path.read_bytes() for path in Path(__file__).parent.joinpath("samples").rglob("*.*")] + [
    b'{"code":"0","request_id":"r","data":{"success":"false","error_msg":"no stock"}}',
    b'{"aliexpress_a_b_response":{"resp_result":{"resp_code":500,"resp_msg":"down"}}}',
    b'{"x_y_response":{"items":{"item":[{"id":1}]},"request_id":"r"}}',
    b"<x_y_response><is_success>false</is_success><a>1</a><a>2</a></x_y_response>",
    b'{"error_response":{"code":15,"msg":"m","sub_code":"isv.x","sub_msg":"banned, 5 seconds"}}',
    b'{"type":"ISV","code":"ApiCallLimit","message":"this ban will last 1 seconds"}',
    b"<html><body>punish</body></html>",
]
PIECES = [
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b",", b":", b"<", b">", b"</a>", b"<a>"),
    *(b"null", b"true", b"-1", b"1e999", b"0", b"9" * 5_000, b"NaN", b"\\ud800", b"\x00", b"\xff"),
    *(b"\n", b"\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc9\xcc", SEPARATOR, b"*" * 40, b"&quot;"),
    *(b'"access_token":"a"', b'"refresh_token":"r"', b'"code":"0"', b'"expires_in":-1'),
    *(b'"success":false', b'"error_response":', b'"token_result":"{\\"access_token\\":', b"ban "),
    *(b'{"a":', b"{},", b"<a b='c'>", b'"access_token":"a",', b'"seller_id":"1"},{'),
]
VALUES = [None, "", [], {}, [[]], 0, -1, 10**15, 1.5, True, "false", ["50"], {"a": 1}]
STATUSES = [200] * 6 + [302, 400, 404, 408, 425, 429, 500, 502, 503]
WAITS = ["", "7", "7.5", "-1", "nan", "9" * 400, "Fri, 27 Nov 2026 08:00:00 GMT", "Fri, 99 Nov"]


def fuzzed(rng):
    """A sample, spoiled a few times; now and then something large of one kind."""
    content = rng.choice(CORPUS)
    if rng.random() < 0.002:
        piece = rng.choice(PIECES) * rng.choice([1, 3])
        content = content[:-1] + piece * (200_000 // len(piece)) + content[-1:]
    for _ in range(rng.randrange(6)):
        content = rng.choice(SPOILERS)(rng, content)
    return content


def spliced(rng, content):
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(PIECES) + content[at + rng.randrange(4) :]


def cut(rng, content):
    return content[: rng.randrange(len(content) + 1)]


def crossed(rng, content):
    other = rng.choice(CORPUS)
    return cut(rng, content) + other[rng.randrange(len(other) + 1) :]


def repeated(rng, content):
    twice = content + rng.choice([b"", b",", SEPARATOR]) + content
    return twice if len(content) < LARGE else content


def retyped(rng, content):
    """Another value in the place of one, where the sample can be read."""
    try:
        body = json.loads(content)
        holder = body
        while isinstance(inner := holder[rng.choice(list(holder))], dict) and inner:
            holder = inner
        values = [*VALUES, content.decode()]
        holder[rng.choice(list(holder))] = rng.choice(values)
        return json.dumps(body).encode()
    except (ValueError, TypeError, IndexError, KeyError, RecursionError):
        return content


def dressed(rng, content):
    text = content.decode("utf-8", "replace")
    return rng.choice(
        [
            lambda: text.encode("utf-16"),
            lambda: json.dumps(text).encode(),
            lambda: gzip.compress(content, 1)[: rng.choice([None, -4, -8, 40])],
            lambda: b"cb(" + content + b");",
            lambda: content.replace(b'"', b"&quot;"),
        ]
    )()


SPOILERS = [spliced, spliced, spliced, cut, crossed, repeated, retyped, retyped, dressed]


class Answered:
    """A caller whose gateway answered so."""

    def __init__(self, gateway, answer):
        self.gateway, self.answer = gateway, answer

    async def call(self, api, params=None, **_):
        try:
            reply = self.gateway.decode(iop.Call(api, params), self.answer)
        except iop.IopError as error:
            error.sent_at = NOW
            raise
        return iop.Reply(reply.data, reply.body, sent_at=NOW, response=reply.response)


def finish(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    pytest.fail("it waits")


def token_of(endpoints, gateway):
    def decode(answer):
        return finish(endpoints.refresh_token(Answered(gateway, answer), refresh_token="50001r1"))

    return decode


def recovered(answer):
    text = answer.content[:16_384].decode("utf-8", "backslashreplace")
    iop.auth.recover_token(text, sent_at=NOW, presented="50001r1")
    return iop.auth.recover_token(answer.content, sent_at=NOW, presented="50001r1")


GLOBAL, TOP = iop.gateways.TAOBAO_GLOBAL, iop.gateways.TAOBAO
DECODERS = {
    "IOP by path": lambda answer: GLOBAL.decode(SENT, answer).raise_for_failure(),
    "IOP by name": lambda answer: GLOBAL.decode(iop.Call("aliexpress.a.b"), answer),
    "IOP simplified": lambda answer: GLOBAL.decode(iop.Call("a.b", simplify=True), answer),
    "TOP": lambda answer: TOP.decode(CALLS[0], answer).raise_for_failure(),
    "TOP simplified": lambda answer: TOP.decode(iop.Call("taobao.x.y", simplify=True), answer),
    "a batch": lambda answer: TOP.decode_batch(CALLS, answer),
    "a token of IOP": token_of(iop.auth, GLOBAL),
    "a token of TOP": token_of(iop.top, TOP),
    "a recovered token": recovered,
}


def outcome_of(decode, answer):
    """What a decoder makes of an answer: a value, or an error of the tree that can be shown."""
    try:
        return decode(answer)
    except iop.IopError as error:
        assert len(f"{error}{error!r}") < len(answer.content) * 12 + 4_000
        return error


def seconds_of(decode, answer):
    """CPU; where it may have been too much the least of three: the collector runs when it likes."""
    began = time.perf_counter()
    outcome_of(decode, answer)
    least = time.perf_counter() - began
    if least < MOST_SECONDS / 5:
        return least
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        outcome_of(decode, answer)
        least = min(least, time.process_time() - began)
        if least < MOST_SECONDS:
            break
    return least


def peak_of(decode, answer):
    tracemalloc.start()
    try:
        outcome_of(decode, answer)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_answer_escapes_a_decoder_or_costs_more_than_it_may():
    """A reply, a token, or one error of the tree; within 100 ms of CPU and 50 MB."""
    rng = random.Random(SEED)
    slowest, largest = (0.0, ""), (0, "")
    for number in range(COUNT):
        content = fuzzed(rng)
        headers = {"retry-after": rng.choice(WAITS), "date": rng.choice([*WAITS, ""])}
        answer = iop.HttpResponse(rng.choice(STATUSES), headers, content, received_at=NOW)
        for name, decode in DECODERS.items():
            try:
                slowest = max(slowest, (seconds_of(decode, answer), name))
                if len(content) > LARGE:
                    largest = max(largest, (peak_of(decode, answer), name))
            except Exception as error:  # noqa: BLE001 -- any at all is what is looked for
                pytest.fail(f"seed {SEED}, answer {number}, {name}: {error!r}: {content[:300]!r}")
            assert slowest[0] < MOST_SECONDS, f"seed {SEED}, answer {number}: {slowest}"
            assert largest[0] < MOST_BYTES, f"seed {SEED}, answer {number}: {largest}"
    print(
        f"{COUNT} answers, seed {SEED}: at most {slowest[0] * 1000:.1f} ms ({slowest[1]}) "
        f"and {largest[0] / 1e6:.1f} MB ({largest[1]})"
    )
