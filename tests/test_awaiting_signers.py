"""Signers that await: a key service signs, and the app needs no secret."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import anyio
import attrs
import pytest
from kms import KmsSigner, kms_client, running_kms

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running
from iop_async.testing import MovableClock

KEYLESS = iop.App("123456")
SECRET = "helloworld"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Remote:
    """A signer somewhere else, as far as a client can tell."""

    sign_method = "sha256"

    def __init__(self, error=None, seconds=0.0):
        self.error, self.seconds, self.asked = error, seconds, []

    async def sign(self, secret, path, params):
        self.asked.append((secret, path, dict(params)))
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return iop.signers.HMAC_SHA256.sign(SECRET, path, params)


class Silent:
    """A transport to which nothing must be given."""

    async def send(self, request):
        raise AssertionError("it was sent")

    async def aclose(self):
        pass


def client_of(signer, gateway=None, transport=None, **options):
    gateway = attrs.evolve(gateway or iop.gateways.ALIBABA, signer=signer)
    return iop.Client(KEYLESS, gateway, transport=transport, **options)


def test_a_client_waits_for_it_under_either_event_loop(run, gateway, sandbox):
    """Calls, tokens and uploads; the gateway finds every signature right."""

    async def scenario():
        signer = Remote()
        async with client_of(signer, gateway) as client:
            token = await iop.auth.create_token(client, code=sandbox.authorize("1001"))
            seller = client.as_seller(token)
            await seller.call("/seller/get", http_method="GET")
            await seller.call("/image/upload", files={"f": b"bytes"})
            await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
        assert len(signer.asked) == 4
        assert {secret for secret, *_ in signer.asked} == {""}

    run(scenario)


def test_signatures_are_waited_for_side_by_side(run, gateway, sandbox):
    """Ten calls wait in the signer at the same time: nothing blocks the event loop."""

    class Together(Remote):
        async def sign(self, secret, path, params):
            self.asked.append(path)
            if len(self.asked) == 10:
                self.all_here.set()
            await self.all_here.wait()
            return iop.signers.HMAC_SHA256.sign(SECRET, path, params)

    async def scenario():
        signer = Together()
        signer.all_here = anyio.Event()
        async with client_of(signer, gateway) as client, anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(client.call, "/sandbox/echo")

    run(scenario)


async def test_a_batch_is_signed_as_a_whole():
    """TOP's own way, with one signature over all of it."""

    class RemoteTop(Remote):
        sign_method = "hmac-sha256"

    sandbox = Sandbox(profile="taobao", apps=[SandboxApp(KEYLESS.key, SECRET)])
    with running(sandbox) as url:
        signer = RemoteTop()
        async with client_of(signer, iop.gateways.Top(f"{url}/router/rest")) as client:
            outcomes = await client.batch([iop.Call("taobao.time.get")] * 2)
            await client.call("taobao.time.get")
    assert all(isinstance(outcome, iop.Reply) for outcome in outcomes)
    assert len(signer.asked) == 2


async def test_a_call_that_is_made_again_is_signed_anew(gateway, sandbox):
    """With the new token: the old signature covers the old one."""
    signer = Remote()
    async with (
        client_of(signer, gateway) as client,
        iop.TokenManager(client, iop.stores.MemoryStore()) as tokens,
    ):
        old = await tokens.authorize(sandbox.authorize("1001"))
        sandbox.fail("error", api="/seller/get", code="IllegalAccessToken", times=1)
        await tokens.seller("1001").call("/seller/get")
    sent = [params for _, path, params in signer.asked if path == "/seller/get"]
    assert len(sent) == 2
    assert sent[0]["access_token"] == old.access_token != sent[1]["access_token"]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("error", "retryable"),
    [(ConnectionError("the vault is away"), True), (ValueError("the vault: too long"), False)],
)
async def test_a_signer_that_fails_is_an_error_before_anything_is_sent(sync, error, retryable):
    """Of its own class, with the signer's words, and the facts for retrying."""
    signer = Remote(error)
    if sync:

        class Local:
            sign_method = "sha256"

            def sign(self, secret, path, params):
                raise error

        signer = Local()
    with pytest.raises(iop.SigningFailed, match=r"nothing was sent: \w+: the vault") as caught:
        await client_of(signer, transport=Silent()).call("/order/create")
    assert caught.value.__cause__ is error
    assert caught.value.retryable is retryable
    assert not caught.value.may_have_been_applied


async def test_what_a_signer_says_shows_no_secret():
    """A service that repeats what it was asked to sign repeats the tokens in it."""
    canary = "50000601c30canary3mSoB7701"
    signer = Remote(RuntimeError(f"cannot sign /aaccess_token{canary}"))
    client = client_of(signer, transport=Silent())
    with pytest.raises(iop.SigningFailed) as caught:
        await client.as_seller(canary).call("/a", {"refresh_token": f"{canary}2"})
    assert canary not in str(caught.value)
    assert "Remote gave no signature" in str(caught.value)


async def test_each_try_of_a_call_is_signed_anew(app, gateway):
    """A signature covers a time, and a signer that is back is asked again."""
    failures = iter([ConnectionError("away"), ConnectionError("away"), None])

    class Flaky(Remote):
        async def sign(self, secret, path, params):
            self.error = next(failures)
            return await super().sign(secret, path, params)

    signer, ticks = Flaky(), count()

    def now():
        return datetime.now(UTC) + timedelta(seconds=next(ticks))

    async with client_of(signer, gateway, retry=iop.Retry(attempts=3), now=now) as client:
        await client.call("/sandbox/echo", idempotent=False)
    assert len(signer.asked) == 3
    assert len({params["timestamp"] for _, _, params in signer.asked}) == 3


def test_a_signer_that_takes_too_long_is_given_up_within_the_calls_time(run):
    """Whatever is left of it after that is the transport's."""

    async def scenario():
        client = client_of(Remote(seconds=3600), transport=Silent())
        with pytest.raises(iop.SigningFailed, match=r"no signature within 0\.\d+ s") as caught:
            await client.call("/a", timeout=0.05)
        assert caught.value.retryable
        assert not caught.value.may_have_been_applied

    run(scenario)


@pytest.mark.parametrize("signature", [b"AB", None, "", "AB/="])
async def test_what_is_no_signature_is_refused(signature):
    """Base64 in place of hex, say."""

    class Wrong(Remote):
        async def sign(self, secret, path, params):
            return signature

    with pytest.raises((TypeError, ValueError), match="Wrong returned"):
        await client_of(Wrong(), transport=Silent()).call("/a")


def test_without_a_client_nobody_can_wait_for_it():
    """The pure half says so, and what to do."""
    gateway = attrs.evolve(iop.gateways.ALIBABA, signer=Remote())
    with pytest.raises(TypeError, match="Remote awaits: call it through a Client"):
        gateway.encode(KEYLESS, iop.Call("/a"), now=NOW)


def test_the_pure_half_says_what_is_to_be_signed_and_makes_the_request_with_it():
    """In two steps, between which anybody may sign: the same request as in one."""
    app, call = iop.App("123456", SECRET), iop.Call("/order/get", {"order_id": 1})
    unsigned = iop.gateways.ALIBABA.prepare(app, call, now=NOW)
    signature = iop.signers.HMAC_SHA256.sign(SECRET, unsigned.path, unsigned.params)
    assert unsigned.finish(signature) == iop.gateways.ALIBABA.encode(app, call, now=NOW)


@pytest.mark.parametrize(
    "signer",
    [iop.signers.HMAC_SHA256, iop.signers.TOP_MD5, iop.signers.HMAC_MD5],
)
async def test_an_app_without_a_secret_cannot_sign_by_itself(signer):
    """An empty key would be one."""
    with pytest.raises(iop.SigningFailed, match="the app has no secret: give it one") as caught:
        await client_of(signer, transport=Silent()).call("/a")
    assert not caught.value.retryable
    assert attrs.evolve(KEYLESS, key="2").secret == ""


async def test_an_async_def_behind_a_partial_is_known(gateway):
    """What a client looks at is the function in the end."""

    class Bound:
        sign_method = "sha256"
        sign = staticmethod(partial(Remote.sign, Remote()))

    async with client_of(Bound(), gateway) as client:
        await client.call("/sandbox/echo")


# Against a real key service.


@pytest.fixture
def service(monkeypatch):
    with running_kms(SECRET, monkeypatch) as running_service:
        yield running_service


def signature_of(path, params):
    """By rules of the test's own."""
    text = path + "".join(name + params[name] for name in sorted(params))
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper()


async def run_through_kms(service, gateway, sandbox, clock, calls):
    """Calls of managed sellers, their tokens traded and refreshed on the way; the signer."""
    async with kms_client(service) as kms:
        signer = KmsSigner(kms)
        client = client_of(signer, gateway, now=clock.now)
        async with (
            client,
            iop.TokenManager(client, iop.stores.MemoryStore(), clock=clock) as tokens,
        ):
            for seller_id in sandbox.sellers:
                await tokens.authorize(sandbox.authorize(seller_id))
            for number in range(calls):
                seller_id = list(sandbox.sellers)[number % len(sandbox.sellers)]
                reply = await tokens.seller(seller_id).call("/seller/get")
                assert reply.data["seller_id"] == seller_id
            report = await tokens.refresh_many(list(sandbox.sellers))
            assert not report.failed
            path, params = signer.signatures[0][1:]
            mac = bytes.fromhex(signer.signatures[0][0])
            text = iop.signers.string_to_sign(path, params).encode()
            checked = await kms.verify_mac(
                KeyId=signer.key_id, Message=text, MacAlgorithm="HMAC_SHA_256", Mac=mac
            )
            assert checked["MacValid"]
    return signer


def judged(signer):
    return [
        signature == signature_of(path, params) for signature, path, params in signer.signatures
    ]


async def test_a_key_service_signs_calls_and_refreshes(service, gateway, sandbox):
    """Every signature is the local one, and the gateway takes each."""
    signer = await run_through_kms(service, gateway, sandbox, MovableClock(), calls=6)
    apis = [path for _, path, _ in signer.signatures]
    assert apis.count("/auth/token/create") == apis.count("/auth/token/refresh") == 3
    assert all(judged(signer))


@pytest.mark.drill
async def test_a_thousand_calls_through_a_key_service(service, gateway, sandbox):
    """As above, a thousand of them."""
    signer = await run_through_kms(service, gateway, sandbox, MovableClock(), calls=1_000)
    assert len(judged(signer)) >= 1_006
    assert all(judged(signer))


async def test_the_service_refuses(service, gateway):
    """A key that it does not have: its own words, and nothing sent."""
    async with kms_client(service) as kms:
        client = client_of(KmsSigner(kms, "alias/another"), transport=Silent())
        with pytest.raises(iop.SigningFailed, match="NotFoundException") as caught:
            await client.call("/a")
    assert caught.value.retryable


async def test_a_call_too_long_for_the_service_is_refused(service):
    """KMS takes 4,096 bytes, and a hash of them would be another signature."""
    async with kms_client(service) as kms:
        client = client_of(KmsSigner(kms), transport=Silent())
        with pytest.raises(iop.SigningFailed, match="4,096 bytes at most") as caught:
            await client.call("/upload/image", {"image_base64": "x" * 5_000})
    assert not caught.value.retryable


async def test_a_refresh_outlives_an_outage_of_the_service(service, gateway, sandbox):
    """The refresh token was not presented, so nothing is ambiguous; then the service is back."""
    clock = MovableClock()
    async with kms_client(service) as kms:
        client = client_of(KmsSigner(kms), gateway, now=clock.now)
        async with (
            client,
            iop.TokenManager(client, iop.stores.MemoryStore(), clock=clock) as tokens,
        ):
            before = await tokens.authorize(sandbox.authorize("1001"))
            service.stop()
            with pytest.raises(iop.SigningFailed):
                await tokens.refresh("1001")
            assert (await tokens.token("1001")).access_token == before.access_token
            service.start()
            after = await tokens.refresh("1001")
    assert after.access_token != before.access_token
