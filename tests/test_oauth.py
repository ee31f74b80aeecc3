"""The way to the consent page and back."""

from urllib.parse import parse_qsl, urlsplit

import pytest

import iop_async as iop

APP = iop.App("12345678", "secret")
CALLBACK = "https://me.example/callback?shop=1"


def test_the_authorize_url_of_the_platforms_guide():
    """Every parameter of the guide, encoded, none that was not given."""
    url = iop.oauth.authorize_url(
        APP, iop.gateways.TAOBAO_GLOBAL, redirect_uri=CALLBACK, state="a&b"
    )
    assert url.startswith("https://api.taobao.global/oauth/authorize?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "response_type": "code",
        "client_id": "12345678",
        "redirect_uri": CALLBACK,
        "force_auth": "true",
        "state": "a&b",
    }


@pytest.mark.parametrize(
    ("gateway", "page"),
    [
        (iop.gateways.LAZADA_VN, "https://auth.lazada.com/oauth/authorize"),
        (iop.gateways.MIRAVIA, "https://auth.miravia.com/apps/oauth/authorize"),
        (iop.gateways.ALIBABA, "https://openapi-auth.alibaba.com/oauth/authorize"),
        (iop.gateways.DARAZ_PK, "https://api.daraz.pk/oauth/authorize"),
    ],
)
def test_each_market_has_its_own_page(gateway, page):
    """With country and uuid where a platform asks for them."""
    url = iop.oauth.authorize_url(
        APP, gateway, redirect_uri=CALLBACK, force_auth=False, country="vn", uuid="u"
    )
    assert url.startswith(f"{page}?response_type=code&client_id=12345678")
    assert url.endswith("&country=vn&uuid=u")
    assert "force_auth" not in url


def test_a_relative_redirect_uri_is_refused():
    """It must be the registered URL, in full."""
    with pytest.raises(ValueError, match="no absolute URL"):
        iop.oauth.authorize_url(APP, iop.gateways.ALIEXPRESS, redirect_uri="/callback")


@pytest.mark.parametrize("prefix", ["https://me.example/callback?", "/callback?", "?", ""])
def test_the_code_comes_back(prefix):
    """From a URL, a path, or the query alone; and the code is not shown."""
    callback = iop.oauth.parse_callback(f"{prefix}code=0_Try&state=s%201", state="s 1")
    assert (callback.code, callback.state) == ("0_Try", "s 1")
    assert "0_Try" not in repr(callback)


def test_a_query_alone_may_hold_an_address():
    """It is no URL for that."""
    query = "code=0_Try&state=s&next=https://me.example/?code=1"
    assert iop.oauth.parse_callback(query, state="s").code == "0_Try"


@pytest.mark.parametrize("query", ["code=c", "code=c&state=", "code=c&state=planted"])
@pytest.mark.parametrize("state", [None, ""])
def test_a_session_without_a_state_accepts_no_callback(query, state):
    """It began no authorization, so somebody else did: what comes back is another's grant."""
    with pytest.raises(iop.AuthError, match="state_mismatch"):
        iop.oauth.parse_callback(query, state=state)


@pytest.mark.parametrize(
    "query",
    [
        "code=c&state=s&code=d",
        "state=other&code=c&state=s",
        "code=c&state=s&state=s",
        "error=e&error=f&state=s",
        "code=c&%63ode=d&state=s",
    ],
)
def test_a_parameter_that_comes_twice_is_refused(query):
    """Two readers of such a URL may each take another one."""
    with pytest.raises(iop.AuthError, match="repeated_parameter"):
        iop.oauth.parse_callback(query, state="s")
    assert iop.oauth.parse_callback("shop=1&shop=2&code=c&state=s", state="s").code == "c"


@pytest.mark.parametrize(
    ("url", "state", "name"), [("code=\ud800&state=s", "s", "url"), ("code=c", "\udfff", "state")]
)
def test_half_a_surrogate_pair_is_named(url, state, name):
    """A web server that decodes what is no UTF-8 makes them."""
    with pytest.raises(ValueError, match=f"{name} holds half a surrogate pair"):
        iop.oauth.parse_callback(url, state=state)
    for wrong in ({"state": "\ud800"}, {"redirect_uri": "https://a.b/\ud800"}, {"uuid": "\ud800"}):
        given = {"redirect_uri": CALLBACK} | wrong
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} holds half a surrogate"):
            iop.oauth.authorize_url(APP, iop.gateways.ALIEXPRESS, **given)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("code=c&state=other", "state_mismatch"),
        ("code=c", "state_mismatch"),
        ("code=c&state=\u00e9", "state_mismatch"),
        ("error=access_denied&error_description=no+thanks&state=s", "access_denied"),
        ("error=&state=s", "error"),
        ("state=s", "missing_code"),
        ("code=&state=s", "missing_code"),
        ("code=+&state=s", "missing_code"),
    ],
)
def test_what_is_no_approval_is_a_typed_error(query, code):
    """With advice, and without the code in its text."""
    with pytest.raises(iop.AuthError) as caught:
        iop.oauth.parse_callback(query, state="s")
    assert caught.value.code == code
    assert caught.value.advice
