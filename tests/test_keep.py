"""The keeper as a service, run as it is run: as a process."""

import signal
import socket
from datetime import UTC, datetime

import anyio
import pytest
from browser import chromium, look_at, person
from keep_helpers import APP, setup
from prometheus_client.parser import text_string_to_metric_families
from test_cli import run

import iop_async as iop
from iop_async.cli._keep.metrics import Metrics
from iop_async.hooks import Request, Response
from iop_async.stores import from_url

REFRESH = "/auth/token/refresh"
ODD = "<i>&\"'1005"
"""A seller whose id is HTML."""


def samples(text):
    """What a Prometheus reads."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A keeper that refreshes five sellers every few seconds, one of whom fails at first."""
    folder = tmp_path_factory.mktemp("keep")
    sellers = ["1001", "1002", "1003", "1004", ODD]
    with setup(folder, access_seconds=3, sellers=sellers) as made:
        made.sandbox.fail("status", status=503, api=REFRESH, seller_id="1003", times=1)
        with made.keeper("--dashboard") as keeper:
            keeper.wait_for(lambda: keeper.said("refreshed: seller 1003"))
            yield made, keeper


def test_probes_say_how_it_is(served):
    _, keeper = served
    assert keeper.get("/livez").json() == {"status": "alive"}
    answer = keeper.get("/healthz")
    facts = answer.json()
    assert answer.status_code == 200, facts
    assert (facts["status"], facts["problems"], facts["keeper"]) == ("ok", [], "running")
    assert facts["store"]
    assert facts["nearest_death"]


def test_a_prometheus_reads_the_metrics(served):
    """By state, by outcome, with latency; and no label has more than a few values."""
    made, keeper = served
    keeper.wait_for(lambda: ("iop_async_sellers", "live") in samples(keeper.get("/metrics").text))
    answer = keeper.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found["iop_async_sellers", "live"] == 5
    assert found["iop_async_sellers", "reauthorize"] == 0
    assert found["iop_async_unpersisted",] == found["iop_async_unanswered",] == 0
    assert found["iop_async_up",] == found["iop_async_store_up",] == 1
    assert found["iop_async_keeper_up",] == 1
    assert found["iop_async_events_total", "refreshed"] >= 5
    assert found["iop_async_events_total", "incident"] == 0
    assert -30 < found["iop_async_nearest_death_seconds",] <= 3
    assert found["iop_async_refresh_duration_seconds_count", "success"] >= 5
    assert found["iop_async_refresh_duration_seconds_count", "ServiceError"] == 1
    assert found["iop_async_refresh_duration_seconds_bucket", "60.0", "success"] >= 5
    series = len(found)
    keeper.wait_for(lambda: made.accepted() >= 15)
    assert len(samples(keeper.get("/metrics").text)) == series
    assert not any(set(labels) & set(made.sandbox.sellers) for _, *labels in found)


def test_outcomes_are_few_and_only_of_refreshes():
    """Whatever a transport raises, and whatever else the client calls."""
    metrics = Metrics()
    for number in range(50):
        for lane in ("tokens", "calls"):
            request = Request(
                api=f"/api/{number}", http_method="POST", url="https://a.b", lane=lane, attempt=1,
                sent_at=datetime.now(UTC),
            )  # fmt: skip
            metrics.observe(Response(request=request, seconds=0.1, error=f"Odd{number}"))
    found = samples(metrics.render(None, is_up=False, missed=0).decode())
    counted = {key: value for key, value in found.items() if key[0].endswith("seconds_count")}
    assert {key[1]: value for key, value in counted.items()} == {"success": 0, "other": 50}


def test_the_log_is_json_and_nothing_says_a_secret(served):
    made, keeper = served
    pages = [keeper.get(path).text for path in ("/metrics", "/healthz", "/dashboard")]
    said = "".join([*map(str, keeper.lines), *pages])
    assert keeper.broken == []
    assert {"at", "level", "logger", "message"} <= keeper.lines[0].keys()
    (failed,) = [line for line in keeper.lines if line.get("event") == "refresh_failed"]
    assert (failed["level"], failed["seller_id"]) == ("WARNING", "1003")
    assert [secret for secret in made.secrets() if secret in said] == []


def test_a_page_of_another_name_reads_nothing(served):
    """A web page whose host name a browser was led to take for this machine's."""
    import httpx

    _, keeper = served
    for path in ("/dashboard", "/metrics", "/healthz"):
        evil = httpx.get(f"{keeper.url}{path}", headers={"host": "evil.example"})
        assert evil.status_code == 400


def test_no_id_becomes_html(served):
    _, keeper = served
    page = keeper.get("/dashboard").text
    assert "&lt;i&gt;" in page
    assert "<i>" not in page


async def test_a_follower_reads_what_it_refreshes(served):
    """An application beside it has good tokens, without refreshing any."""
    made, _ = served
    async with (
        from_url(made.store_url) as store,
        iop.Client(APP, iop.gateways.Iop(made.gateway)) as client,
        iop.TokenManager(client, store, role="follower") as tokens,
    ):
        first = await tokens.token("1001")
        while (token := await tokens.token("1001")) == first:
            await anyio.sleep(0.2)
        assert token.issued_at > first.issued_at
        assert not (await tokens.seller("1001").call("/seller/get")).failed


async def test_the_dashboard_in_a_browser(served, tmp_path):
    """It follows what happens, fits a phone, and breaks no rule of its own policy."""
    made, keeper = served
    async with chromium() as browser, person(browser) as page:
        answer = await page.goto(f"{keeper.url}/")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        await page.get_by_text("All well").wait_for()
        await page.get_by_text("Coming refreshes").wait_for()
        first = await page.locator("header").inner_text()
        await page.wait_for_function(
            "before => document.querySelector('header').innerText !== before", arg=first
        )
        await look_at(page, "dashboard", tmp_path)
        made.sandbox.fail("error", api=REFRESH, code="InvalidAppKey", times=None)
        await page.get_by_text("What to look at").wait_for()
        await page.get_by_text("the gateway refuses the app").first.wait_for()
        await look_at(page, "dashboard-incident", tmp_path)


def test_sigterm_lets_refreshes_end(tmp_path):
    """Nothing is lost, and the exit status is that of success."""
    with setup(tmp_path, sellers=20, access_seconds=2) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=1, times=None)
        with made.keeper() as keeper:
            keeper.wait_for(lambda: made.accepted() >= 1)
            keeper.signal()
            assert keeper.wait() == 0
        assert made.lost() == {}
        assert made.accepted() == len(keeper.said("refreshed: seller"))
        (draining,) = keeper.said("draining")
        assert draining["refreshing"] > 0


def test_a_second_signal_ends_at_once_and_says_what_is_under_way(tmp_path):
    """The next start asks for the answers that were not waited for."""
    with setup(tmp_path, sellers=2, access_seconds=2) as made:
        made.sandbox.fail("latency", api=REFRESH, seconds=60, times=2)
        with made.keeper() as keeper:
            keeper.wait_for(lambda: keeper.get("/healthz").json()["refreshing"] == 2)
            keeper.signal(signal.SIGINT)
            keeper.wait_for(lambda: keeper.get("/healthz").json()["status"] == "draining")
            assert keeper.get("/healthz").status_code == 503
            keeper.signal()
            assert keeper.wait(10) == 128 + signal.SIGTERM
        (last,) = keeper.said("ended at once")
        assert last["refreshing"] == ["1001", "1002"]
        assert last["in_memory_only"] == []
        assert all(grant.is_unanswered for grant in made.stored().values())


def test_a_store_that_cannot_be_used_is_said_in_json(tmp_path):
    """Before anything is kept, with a status that a supervisor sees."""
    with setup(tmp_path, sellers=1) as made:
        (tmp_path / "tokens.db").write_bytes(b"no database" * 1000)
        with made.keeper(ready=None) as keeper:
            assert keeper.wait() == 1
        assert keeper.broken == []
        assert keeper.lines[-1]["error"]["kind"] == "StoreError"


def test_a_port_that_is_taken_is_said_before_anything_is_refreshed(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other, setup(tmp_path, sellers=1) as made:
        port = str(other.getsockname()[1])
        with made.keeper("--port", port, ready=None) as keeper:
            assert keeper.wait() == 1
        assert "in use" in keeper.lines[-1]["error"]["message"]
        assert not keeper.said("opening the store")


def test_the_dashboard_is_for_this_machine_unless_somebody_says_otherwise():
    refused = run("keep", "--dashboard", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr


def test_systemd_is_told(tmp_path, monkeypatch):
    """When it keeps, that it turns, and that it ends."""
    with setup(tmp_path, sellers=1) as made, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as at:
        at.bind(str(tmp_path / "notify"))
        at.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with made.keeper() as keeper:
            assert [at.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            keeper.signal()
            assert keeper.wait() == 0
        while (state := at.recv(100)) == b"WATCHDOG=1":
            pass
        assert state == b"STOPPING=1"
