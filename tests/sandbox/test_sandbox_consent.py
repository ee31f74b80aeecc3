"""The consent page: a seller approves or declines, and the browser goes back to the app."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from sandbox_helpers import KEY, SECRET, SandboxCaller

from iop_async import oauth
from iop_async._models import App
from iop_async.gateways import Iop
from iop_async.sandbox import Sandbox, SandboxApp, SandboxSeller

BACK = "http://app.example/callback"
PAGE = "/oauth/authorize"
ASKED = {"client_id": KEY, "response_type": "code", "redirect_uri": BACK, "state": "s&1 茶"}


@pytest.fixture
async def caller():
    async with SandboxCaller(Sandbox()) as caller:
        yield caller


class Forms(HTMLParser):
    """The named inputs and buttons of a page, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.inputs, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("input", "button", "select", "option"):
            self.inputs.append(dict(attrs))


def sent_back(response):
    assert response.status_code == 302
    where = urlsplit(response.headers["location"])
    return dict(parse_qsl(where.query, keep_blank_values=True))


async def test_the_page_shows_the_app_and_lets_one_pick_a_seller(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, name="Tea & Co"))
    response = await caller.http.get(PAGE, params=ASKED)
    assert response.status_code == 200
    assert "Tea &amp; Co" in response.text
    assert KEY in response.text
    radios = [field for field in Forms(response.text).inputs if field.get("type") == "radio"]
    assert [radio["value"] for radio in radios] == ["1001", "1002", "1003"]


async def test_what_the_page_posts_brings_code_and_state_to_the_app(caller):
    """The form is filled from the page itself, as a browser would."""
    forms = Forms((await caller.http.get(PAGE, params=ASKED)).text)
    form = {f["name"]: f["value"] for f in forms.inputs if f.get("type") == "hidden"}
    response = await caller.http.post(
        PAGE, data={**form, "seller_id": "1002", "decision": "approve"}
    )
    back = sent_back(response)
    assert back["state"] == ASKED["state"]
    assert response.headers["location"].startswith(f"{BACK}?")
    token = await caller.call("/auth/token/create", {"code": back["code"]})
    assert token["seller_id"] == "1002"


async def test_declining_brings_access_denied(caller):
    response = await caller.http.post(
        PAGE, data={**ASKED, "seller_id": "1001", "decision": "decline"}
    )
    assert sent_back(response) == {"error": "access_denied", "state": ASKED["state"]}


async def test_auto_approve_needs_no_browser(caller):
    response = await caller.http.get(PAGE, params={**ASKED, "auto_approve": "1003"})
    token = await caller.call("/auth/token/create", {"code": sent_back(response)["code"]})
    assert token["seller_id"] == "1003"


async def test_the_library_builds_the_url_and_reads_the_way_back(caller):
    app, gateway = App(KEY, SECRET), Iop("http://127.0.0.1")
    url = oauth.authorize_url(
        app, gateway, redirect_uri=BACK, state="x", country="hk", uuid="u", force_auth=True
    )
    response = await caller.http.get(f"{PAGE}?{urlsplit(url).query}&auto_approve=1001")
    callback = oauth.parse_callback(response.headers["location"], state="x")
    assert (await caller.call("/auth/token/create", {"code": callback.code}))["code"] == "0"


async def test_a_query_of_the_callback_is_kept_and_no_state_stays_none(caller):
    asked = {**ASKED, "redirect_uri": f"{BACK}?shop=7#top"}
    del asked["state"]
    response = await caller.http.get(PAGE, params={**asked, "auto_approve": "1001"})
    back = sent_back(response)
    assert back.keys() == {"shop", "code"}
    assert response.headers["location"].endswith("#top")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"client_id": "9"}, "client_id is no app key"),
        ({"client_id": ""}, "client_id is no app key"),
        ({"response_type": "token"}, "response_type must be code"),
        ({"redirect_uri": "/callback"}, "redirect_uri is no absolute"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri is no absolute"),
        ({"redirect_uri": "http://[broken"}, "redirect_uri is no absolute"),
        ({"auto_approve": "9"}, "there is no seller"),
    ],
)
async def test_a_wrong_request_stays_on_a_page_that_says_why(caller, change, reason):
    asked = {**ASKED, **change}
    response = await caller.http.get(PAGE, params=asked)
    assert response.status_code == 400
    assert reason in response.text
    posted = {**asked, "decision": "approve", "seller_id": change.get("auto_approve", "1001")}
    assert (await caller.http.post(PAGE, data=posted)).status_code == 400


async def test_the_callback_is_the_registered_one(caller):
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, callback=BACK))
    right = await caller.http.get(PAGE, params=ASKED)
    wrong = await caller.http.get(PAGE, params={**ASKED, "redirect_uri": f"{BACK}/"})
    assert (right.status_code, wrong.status_code) == (200, 400)
    assert "Redirect uri does not match the callback url of the APP" in wrong.text


async def test_nothing_on_the_page_is_taken_for_html(caller):
    evil = '"><script>alert(1)</script>'
    caller.sandbox.add_app(SandboxApp(KEY, SECRET, name=evil))
    caller.sandbox.add_sellers([SandboxSeller(evil, evil)])
    for country in ("", evil):
        asked = {**ASKED, "state": evil, "redirect_uri": f"{BACK}?{evil}", "country": country}
        text = (await caller.http.get(PAGE, params=asked)).text
        assert "<script" not in text
        assert evil in [field.get("value") for field in Forms(text).inputs]
    wrong = await caller.http.get(PAGE, params={**ASKED, "auto_approve": evil})
    assert "<script" not in wrong.text


async def test_the_page_fetches_nothing_and_is_not_framed(caller):
    response = await caller.http.get(PAGE, params=ASKED)
    tags = Forms(response.text).tags
    assert not [tag for tag, fields in tags if fields.keys() & {"src", "href"}]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


async def test_every_field_has_a_label_and_the_page_a_language(caller):
    caller.sandbox.add_sellers(20)
    text = (await caller.http.get(PAGE, params=ASKED)).text
    tags = Forms(text).tags
    assert ("html", {"lang": "en"}) in tags
    (select,) = [fields for tag, fields in tags if tag == "select"]
    assert select["aria-label"]
    assert len([tag for tag, _ in tags if tag == "option"]) == 23


async def test_a_country_narrows_the_choice():
    async with SandboxCaller(Sandbox(profile="lazada", sellers=30)) as caller:
        response = await caller.http.get(PAGE, params={**ASKED, "country": "MY"})
        options = [f["value"] for t, f in Forms(response.text).tags if f.get("value", "").isdigit()]
        countries = {
            caller.sandbox.sellers[name].shops[0].country
            for name in options
            if name in caller.sandbox.sellers
        }
        assert countries == {"my"}


async def test_sellers_of_one_page_are_parsed_as_sent(caller):
    """A state with every awkward character comes back unchanged."""
    state = "&=?#%+/ \t\"'<>é茶\U0001fad6"
    response = await caller.http.get(PAGE, params={**ASKED, "state": state, "auto_approve": "1001"})
    assert parse_qs(urlsplit(response.headers["location"]).query)["state"] == [state]
