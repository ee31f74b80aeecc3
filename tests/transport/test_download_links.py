"""Which links are followed, what is shown of them, and what the host says."""

import pytest
from download_helpers import LABEL, SIGNATURE, download, failure
from loopback import Server, answer
from transport_helpers import report

import iop_async as iop
from iop_async._http.downloads import filename_of
from iop_async._http.links import Link


@pytest.mark.parametrize(
    ("status", "retryable"),
    [("403 Forbidden", False), ("404 Not Found", False), ("503 Busy", True), ("206 Part", False)],
)
def test_another_status_is_an_error_that_shows_it(run, make_transport, to, status, retryable):
    """... and what the host says, without the signature that it repeats."""
    words = f"<Error>the sign {SIGNATURE} has expired</Error>".encode()
    error = failure(
        run, make_transport, lambda *_: answer(words * 3000, status), to, iop.ProtocolError
    )
    assert error.status == int(status[:3])
    assert f"HTTP {error.status}, no file: '<Error>the sign ***" in str(error)
    assert "/label" in str(error)
    assert error.retryable is retryable
    assert len(error.content) <= 64 * 1024


def test_redirects_are_followed_with_their_own_link_alone(run, make_transport, to):
    def respond(received, writer):
        if received.target.startswith("/label"):
            return answer(
                b"moved", "302 Found", Location="/面 单?b=%2F#x".encode().decode("latin-1")
            )
        return answer(LABEL)

    _, (first, second) = download(run, make_transport, respond, to)
    assert first.target.startswith("/label?sig=")
    assert second.target == "/%E9%9D%A2%20%E5%8D%95?b=%2F"
    assert set(second.headers) == {"host", "user-agent", "accept-encoding"}
    assert to.read_bytes() == LABEL


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (f"http://files.example/{SIGNATURE}", "in the clear"),
        ("ftp://files.example/", "no link"),
        ("https://user:CANARY@files.example/", "a user"),
        ("/label", "after 5 redirects"),
        ("", "HTTP 302, no file"),
    ],
)
def test_redirects_that_are_not_followed(run, make_transport, to, location, words):
    error = failure(
        run,
        make_transport,
        lambda *_: answer(b"", "302 Found", Location=location),
        to,
        iop.ProtocolError,
    )
    assert words in str(error)
    assert error.status == 302


@pytest.mark.parametrize(
    ("link", "error", "words"),
    [
        (None, TypeError, "NoneType"),
        ("", ValueError, "no link"),
        ("/label.pdf", ValueError, "no link"),
        ("ftp://files.example/CANARY", ValueError, "no link"),
        ("https://user:CANARY@files.example/a", ValueError, "a user"),
        ("https://files.example:0/a?CANARY", ValueError, "cannot be"),
        ("https://files.example:x/a?CANARY", ValueError, "no link"),
        ("https://files.example/a\r\nb: CANARY", ValueError, "no link"),
        ("https://files.example/\ud800?CANARY", ValueError, "surrogate"),
        ("http://files.example/label?CANARY", ValueError, "allow_http=True"),
    ],
)
def test_a_link_that_is_none_is_told_before_anything_is_sent(
    run, make_transport, to, link, error, words
):
    async def scenario():
        async with make_transport() as transport:
            with pytest.raises(error, match=words) as caught:
                await transport.download(link, to)
            assert "CANARY" not in report(caught.value)

    run(scenario)
    assert list(to.parent.iterdir()) == []


def test_no_log_shows_the_signature(run, make_transport, to, caplog):
    """A client of the user's logs every URL."""
    caplog.set_level("DEBUG")
    download(run, make_transport, lambda *_: answer(LABEL), to)
    assert "CANARY" not in caplog.text


def test_a_link_without_tls_is_one_that_the_caller_allows(run, make_transport, to):
    """0.0.0.0 is this machine, and no loopback address."""

    async def scenario():
        async with make_transport() as transport:
            link = server.base.replace("127.0.0.1", "0.0.0.0")
            with pytest.raises(ValueError, match="allow_http"):
                await transport.download(link, to)
            await transport.download(link, to, allow_http=True)

    with Server(lambda *_: answer(LABEL)) as server:
        run(scenario)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("link", "location", "there"),
    [
        ("https://a.example/b?c", "d", "https://a.example/d"),
        ("https://a.example/b?c", "//e.example", "https://e.example"),
        ("https://a.example/b?c", "https://127.0.0.1/", None),
        ("https://a.example/b?c", "https://localhost/", None),
        ("https://a.example/b?c", "https://10.0.0.1/", None),
        ("https://10.0.0.2/b?c", "https://10.0.0.1/", "https://10.0.0.1/"),
        ("https://a.example/b?c", "http://e.example/", None),
        ("http://a.example/b?c", "http://e.example/", "http://e.example/"),
        ("http://a.example/b?c", "http://localhost/", None),
        ("http://localhost/b?c", "https://e.example/", "https://e.example/"),
    ],
)
def test_where_a_redirect_may_lead(link, location, there):
    """Not from outside into a network of one's own, nor out of TLS."""
    here = Link.of(link, allow_http=True)
    if there is None:
        with pytest.raises(ValueError, match=r"in the clear|no public address"):
            here.redirected(location)
    else:
        assert here.redirected(location).url == there


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("", None),
        ("inline", None),
        ("attachment; filename=label.pdf", "label.pdf"),
        ('attachment; FileName="a \\"b\\".pdf"; size=1', 'a "b".pdf'),
        ('attachment; filename="c:\\\\d\\\\e.pdf"', "e.pdf"),
        ("attachment; filename=../../etc/f", "f"),
        ("attachment; filename=..", None),
        ("attachment; filename*=utf-8'zh'%E9%9D%A2%2F%E5%8D%95; filename=x", "单"),
        ("attachment; filename*=x-unknown''%FF; filename=x", "x"),
        ("attachment; filename=" + "面单.pdf".encode().decode("latin-1"), "面单.pdf"),
        ('attachment; filename="a\x1bb"', "a\\x1bb"),
    ],
)
def test_the_name_that_the_host_gives(disposition, name):
    assert filename_of(disposition) == name
