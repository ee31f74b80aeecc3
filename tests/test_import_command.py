"""``iop-async tokens import``, run as users run it: as a process."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import iop_async as iop
from iop_async.cli._commands import commands
from iop_async.cli._tokens.files import UnusableFile, open_table
from iop_async.cli._tokens.rows import BadRow, token_in
from iop_async.stores import SQLiteStore

COMMAND = [sys.executable, "-m", "iop_async.cli", "tokens", "import"]
NOW = datetime.now(UTC).replace(microsecond=0)
ACCESS_END, REFRESH_END = NOW + timedelta(days=20), NOW + timedelta(days=150)
SETTINGS = {"IOP_APP_KEY": "123456", "IOP_GATEWAY": "lazada_sg"}
CANARY = "50000canary0access0token0"


def flat(number, **columns):
    """A row with the columns of this library."""
    return {
        "seller_id": f"s{number}",
        "access_token": f"{CANARY}{number}",
        "refresh_token": f"{CANARY}r{number}",
        "expires_at": ACCESS_END.isoformat(),
        "refresh_expires_at": str(int(REFRESH_END.timestamp())),
        **columns,
    }


def csv_of(rows, **options):
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], **options)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def json_lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def run_process(*arguments, given=None):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, **SETTINGS},
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
    )


def run(*arguments, env=SETTINGS):
    """The same in this process, which has imported everything by now."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    given = ["tokens", "import", *map(str, arguments)]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            commands(given, prog_name="iop-async")
    written = [stream.buffer.getvalue() for stream in (out, err) if not stream.flush()]
    return subprocess.CompletedProcess(arguments, end.value.code, *written)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/tokens.db"


@pytest.fixture
def file(tmp_path):
    """Writes a file that nobody else may read."""

    def write(text, name="sellers.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        return path

    return write


def kept(url, scope="123456@auth.lazada.com"):
    """Seller to token, by what the store has."""

    async def read():
        async with SQLiteStore(url.removeprefix("sqlite:///")) as store:
            return {
                record.seller_id: iop.tokens.read_grant(record).token
                async for record in store.records(scope)
            }

    return anyio.run(read)


def summary(done):
    """The line for a person, in numbers."""
    begin, _, told = done.stdout.decode().strip().partition(": ")
    counts = {
        "rows" if name == "row" else name: int(number.replace(",", ""))
        for number, name in re.findall(r"(\d[\d,]*) (\w+)", told)
    }
    return {"dry_run": True, **counts} if begin.startswith("dry run") else counts


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_become_what_a_manager_of_the_app_finds(url, file, form):
    """Under its scope, without the app's secret; and importing again changes nothing."""
    rows = [flat(number, shop=f"Shop, {number}") for number in range(30)]
    path = file(csv_of(rows) if form == "csv" else json_lines(rows), f"sellers.{form}")
    done = run_process(path, "--store", url)
    assert (done.returncode, done.stderr) == (0, b"")
    assert summary(done) == {"rows": 30, "imported": 30}
    assert summary(run(path, "--store", url)) == {"rows": 30, "unchanged": 30}

    async def served():
        client = iop.Client(iop.App("123456", "secret"), iop.gateways.LAZADA_SG)
        async with (
            client,
            SQLiteStore(url.removeprefix("sqlite:///")) as store,
            iop.TokenManager(client, store, keeper=False) as tokens,
        ):
            return await tokens.token("s7"), tokens.scope

    token, scope = anyio.run(served)
    assert done.stdout.decode() == f"into {scope}: 30 rows, 30 imported\n"
    assert (token.access_token, token.refresh_token) == (f"{CANARY}7", f"{CANARY}r7")
    assert (token.expires_at, token.refresh_expires_at) == (ACCESS_END, REFRESH_END)
    assert token.extra == {"shop": "Shop, 7"}


def test_standard_input_is_read_too(url):
    """With its format said."""
    text = json_lines([flat(1)]).encode()
    assert (
        summary(run_process("-", "--format", "jsonl", "--store", url, given=text))["imported"] == 1
    )
    refused = run_process("-", "--store", url, given=text)
    assert refused.returncode == 2
    assert b"--format csv or --format jsonl" in refused.stderr


def test_a_bad_row_is_told_by_its_line_and_costs_no_other(url, file, tmp_path):
    """It is kept for repair where nobody else may read it; no token is ever shown."""
    rows = [flat(number) for number in range(6)]
    rows[1]["refresh_token"] = ""
    rows[2]["seller_id"] = "1.23E+17"
    rows[3] |= {"shop": "two\nlines", "expires_at": "2031-01-01T00:00:00"}
    rows[4]["refresh_expires_at"] = "2020-01-01T00:00:00Z"
    for row in rows:
        row.setdefault("shop", "one")
    rejected = tmp_path / "rejected.csv"
    old = os.umask(0)
    try:
        done = run(file(csv_of(rows)), "--store", url, "--rejected", rejected)
    finally:
        os.umask(old)
    assert done.returncode == 1
    assert summary(done) == {"rows": 6, "imported": 2, "failed": 4}
    lines = sorted(done.stderr.decode().splitlines())
    expected = {
        "line 3: ": "no refresh token",
        "line 4: ": "'1.23E+17': a spreadsheet shortened it",
        "line 5: ": "expires_at has no time zone",
        "line 7: ": "refresh token has expired",
    }
    assert len(lines) == len(expected)
    for line, (place, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(place)
        assert reason in line
    assert CANARY.encode() not in done.stdout + done.stderr
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    again = list(csv.DictReader(io.StringIO(rejected.read_text(), newline="")))
    assert {row["seller_id"] for row in again} == {"s1", "1.23E+17", "s3", "s4"}
    assert set(kept(url)) == {"s0", "s5"}
    repaired = file(csv_of([{**row, **flat(number)} for number, row in enumerate(again, 10)]))
    assert summary(run(repaired, "--store", url)) == {"rows": 4, "imported": 4}


def test_a_file_for_rejected_rows_is_never_one_that_is_there(url, file, tmp_path):
    """Nor a symbolic link; and where no row is rejected there is none in the end."""
    path = file(csv_of([flat(1)]))
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        refused = run(path, "--store", url, "--rejected", tmp_path / name)
        assert refused.returncode == 1
        assert b"file exists" in refused.stderr
    assert not (tmp_path / "tokens.db").exists()
    assert run(path, "--store", url, "--rejected", tmp_path / "new").returncode == 0
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "there").read_text() == "mine"


def test_a_dry_run_says_what_would_happen_and_writes_nothing(url, file, tmp_path):
    """Not even a database that is not there yet."""
    path = file(csv_of([flat(1), flat(2), flat(3, refresh_token="")]))
    done = run(path, "--store", url, "--dry-run")
    assert summary(done) == {"dry_run": True, "rows": 3, "imported": 2, "failed": 1}
    assert done.returncode == 1
    assert [each.name for each in tmp_path.iterdir()] == ["sellers.csv"]
    run(file(csv_of([flat(1)]), "one.csv"), "--store", url)
    before = kept(url)
    later = flat(1, access_token="later", expires_at=(ACCESS_END + timedelta(days=1)).isoformat())
    path = file(csv_of([later, flat(2), flat(3)]))
    assert summary(run(path, "--store", url, "--dry-run")) == {
        "dry_run": True,
        "rows": 3,
        "imported": 2,
        "replaced": 1,
    }
    assert kept(url) == before


def test_a_pair_is_never_replaced_by_an_older_one(url, file):
    """Where only the ends are known, by those; and not at all where one says so."""
    older = flat(1, access_token="older", expires_at=(NOW + timedelta(days=3)).isoformat())
    newer = flat(1, access_token="newer")
    run(file(csv_of([newer])), "--store", url)
    assert summary(run(file(csv_of([older])), "--store", url)) == {"rows": 1, "unchanged": 1}
    assert kept(url)["s1"].access_token == "newer"
    latest = flat(1, access_token="latest", expires_at=(ACCESS_END + timedelta(days=3)).isoformat())
    done = run(file(csv_of([latest])), "--store", url, "--no-replace")
    assert summary(done) == {"rows": 1, "skipped": 1}
    assert kept(url)["s1"].access_token == "newer"
    assert summary(run(file(csv_of([latest])), "--store", url)) == {"rows": 1, "replaced": 1}


def test_many_bad_rows_are_not_all_told_of(url, file):
    """They are counted."""
    done = run(file(csv_of([flat(n, refresh_token="") for n in range(150)])), "--store", url)
    assert summary(done) == {"rows": 150, "failed": 150}
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 101
    assert lines[-1] == "and 50 more; --rejected FILE keeps them"


def test_settings_that_cannot_be_used_are_told_before_anything_is_done(url, file):
    """In words, without a traceback."""
    path = file(csv_of([flat(1)]))
    for arguments, env, expected in [
        ((path, "--store", url), {"IOP_APP_KEY": "1"}, "--gateway"),
        ((path, "--store", url), {"IOP_GATEWAY": "lazada_sg"}, "--app-key"),
        ((path,), SETTINGS, "IOP_STORE"),
        (
            (path, "--store", url),
            {**SETTINGS, "IOP_GATEWAY": "lazada_mars"},
            "no market 'lazada_mars'",
        ),
        ((path, "--store", "oracle://user:canary@db"), SETTINGS, "Error"),
        ((path.with_name("none.csv"), "--store", url), SETTINGS, "No such file"),
        ((file("x", "sellers.xlsx"), "--store", url), SETTINGS, "say --format"),
        ((path, "--store", "postgresql://u:canary@127.0.0.1:9/x"), SETTINGS, "Error"),
    ]:
        done = run(*arguments, env=env)
        assert done.returncode in (1, 2), expected
        assert expected in done.stderr.decode()
        assert b"Traceback" not in done.stderr
        assert b"canary" not in done.stderr
        assert done.stdout == b""


def test_a_file_that_others_may_read_is_warned_of(url, file):
    """It holds secrets."""
    path = file(csv_of([flat(1)]))
    path.chmod(0o644)
    done = run(path, "--store", url)
    assert done.returncode == 0
    assert b"other users of this machine may read the file" in done.stderr


def test_what_a_store_refuses_while_it_is_locked_is_not_said_to_be_kept(url, file, tmp_path):
    """The journal beside it has a few; a second run brings in all of them."""
    path = file(csv_of([flat(number) for number in range(200)]))
    run(file(csv_of([flat("x")]), "x.csv"), "--store", url)
    with contextlib.closing(sqlite3.connect(tmp_path / "tokens.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        done = run(path, "--store", f"{url}?busy_timeout=0.1")
        other.rollback()
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert CANARY.encode() not in done.stdout + done.stderr
    assert run(path, "--store", url).returncode == 0
    assert len(kept(url)) == 201


# Rows, without a process


def answers():
    """Rows as the platforms answer, and how long the tokens live."""
    issued = NOW - timedelta(days=2)
    return {
        "lazada": {
            "access_token": "a",
            "refresh_token": "r",
            "expires_in": 604800,
            "refresh_expires_in": "2592000",
            "country_user_info": [{"country": "sg", "seller_id": "1001", "user_id": "7"}],
            "account_platform": "seller_center",
            "issued_at": issued.isoformat(),
            "code": "0",
        },
        "aliexpress": {
            "access_token": "a",
            "refresh_token": "r",
            "expires_in": "604800",
            "expire_time": int((issued + timedelta(days=7)).timestamp() * 1000),
            "refresh_token_valid_time": str(int((issued.timestamp() + 2592000) * 1000)),
            "seller_id": 1001,
        },
        "top": {
            "access_token": "a",
            "refresh_token": "r",
            "expires_in": "604800",
            "re_expires_in": 2592000,
            "w1_expires_in": 86400,
            "token_type": "Bearer",
            "taobao_user_id": "1001",
            "taobao_user_nick": "%E5%BA%97",
            "issued_at": int(issued.timestamp()),
        },
    }


@pytest.mark.parametrize("name", answers())
def test_a_row_may_be_an_answer_of_the_platform(name):
    """Its lifetimes count from when it came, which a moment beside them tells as well."""
    token = token_in(answers()[name], now=NOW)
    assert token.seller_id == "1001"
    assert token.issued_at == NOW - timedelta(days=2)
    assert token.expires_at == NOW + timedelta(days=5)
    assert token.refresh_expires_at == NOW + timedelta(days=28)
    assert token.refreshable


@pytest.mark.parametrize(
    "written",
    [
        ACCESS_END.isoformat(),
        ACCESS_END.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ACCESS_END.astimezone(datetime.strptime("+0800", "%z").tzinfo).isoformat(" "),
        str(int(ACCESS_END.timestamp())),
        int(ACCESS_END.timestamp()),
        float(ACCESS_END.timestamp()),
        int(ACCESS_END.timestamp() * 1000),
        str(int(ACCESS_END.timestamp() * 1000)),
    ],
    ids=["iso", "utc", "china", "s", "s int", "s float", "ms int", "ms"],
)
def test_a_time_is_told_by_its_form(written):
    """With a zone, or in seconds or milliseconds, which have different numbers of digits."""
    assert token_in(flat(1, expires_at=written), now=NOW).expires_at == ACCESS_END


SPOILED = {
    "no access_token": {"access_token": None},
    "access_token has a space or line end around it": {"access_token": "a\u200bb\x07"},
    "access_token has a quote around it": {"access_token": "'50000"},
    "access_token is none": {"access_token": "NaN"},
    "refresh_token is none": {"refresh_token": "1.5E+30"},
    "refresh_token has a quote": {"refresh_token": '"50000"'},
    "seller_id is '1.23E+17'": {"seller_id": "1.23E+17"},
    "seller_id is '1,23E+17'": {"seller_id": "1,23E+17"},
    "seller_id is '1.23e+17'": {"seller_id": 1.23e17},
    "seller_id is '1001.0'": {"seller_id": 1001.0},
    "seller_id is 'nan'": {"seller_id": "nan"},
    "account_id is '1E5'": {"account_id": "1E5"},
    "expires_at has no time zone": {"expires_at": "2031-01-01 00:00:00"},
    "refresh_expires_at has no time zone": {"refresh_expires_at": "2031-01-01"},
    "expires_at is no time": {"expires_at": "next week"},
    "expires_at is no time; write": {"expires_at": "01/02/2031"},
    "expires_at is no time; write ISO": {"expires_at": "20310101"},
    "is no time; write ISO 8601": {"expires_at": "604800"},
    "expires_at was shortened": {"expires_at": "1.9E+12"},
    "expires_at is no time; write ISO 8601 w": {"expires_at": True},
    "expires_at lies more than five years": {"expires_at": "9999999999"},
    "expires_at lies out of all time": {"expires_at": "0001-01-01T00:00:00+14:00"},
    "issued_at lies in the future": {"issued_at": (NOW + timedelta(days=1)).isoformat()},
    "ends before it was issued": {
        "issued_at": NOW.isoformat(),
        "expires_at": (NOW - timedelta(days=1)).isoformat(),
    },
    "neither when the pair was given out": {"expires_at": ""},
    "expires_in counts from": {"expires_at": "", "expires_in": 604800},
    "refresh_expires_in counts from": {"refresh_expires_at": "", "refresh_expires_in": "604800"},
    "expires_in is no lifetime": {"expires_in": 604800000},
    "expires_in is no lifetime in seconds": {
        "expires_in": "a week",
        "issued_at": NOW.isoformat(),
        "expires_at": "",
    },
    "'expires' is not read": {"expires": "2031-01-01T00:00:00Z"},
    "'refresh_token_expiry' is not read": {"refresh_token_expiry": "1"},
    "has 'seller_id' twice": {"Seller_ID": "s2"},
}


@pytest.mark.parametrize("expected", SPOILED)
def test_a_row_that_may_be_read_in_two_ways_is_refused(expected):
    """In words that say what is wrong and repeat no token."""
    with pytest.raises(BadRow) as caught:
        token_in(flat(1) | SPOILED[expected], now=NOW)
    assert expected in str(caught.value)
    assert "50000" not in str(caught.value)


def table(text, form="csv"):
    return open_table(io.BytesIO(text if isinstance(text, bytes) else text.encode()), form)


def test_a_csv_of_a_spreadsheet_is_read():
    """With a byte order mark, CR LF, blank lines, and line ends and quotes within quotes."""
    rows = [flat(1, note='two\r\nlines, "quoted"'), flat(2, note="")]
    text = "\ufeff" + csv_of(rows, lineterminator="\r\n") + "\r\n"
    read = list(table(text).rows)
    assert [row.fields for row in read] == rows
    assert [row.line for row in read] == [2, 4]
    assert [row.fault for row in read] == ["", ""]
    assert table("").header == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (csv_of([flat(1)], delimiter=";"), "separated by semicolons"),
        (csv_of([flat(1)], delimiter="\t"), "separated by tabs"),
        (csv_of([flat(1)], delimiter="|"), "separated by bars"),
        (f"1001,{CANARY},{CANARY}\n", "must name the columns"),
        (csv_of([flat(1)]).encode("utf-16"), "UTF-16"),
        (csv_of([flat(1, expiry="1")]), "'expiry' is not read"),
        ("seller_id,access_token,refresh_token,seller_id\n", "a name twice"),
        ("access_token,refresh_token,\n", "without a name"),
        ('access_token,"refresh_token\n', "no CSV"),
        (json_lines([flat(1)]), "must name the columns"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_a_csv_of_another_form_is_refused_as_a_whole(text, expected):
    """Before anything is done, and without a word of what may be a row."""
    with pytest.raises(UnusableFile) as caught:
        list(table(text).rows)
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_row_that_is_no_csv_costs_no_other():
    """A quote that is never closed takes what is behind it along; all is kept as it stands."""
    header = ",".join(flat(1))
    good = ",".join(flat(1).values())
    bad = [
        f"{good},more",
        "s1",
        f'"s1"x{good}',
        f"s\xe9,{good[3:]}".encode("latin-1").decode("utf-8", "surrogateescape"),
    ]
    text = "\n".join([header, *(line for each in bad for line in (each, good)), f'"{good}', good])
    given = table(text.encode("utf-8", "surrogateescape"))
    read = list(given.rows)
    assert [bool(row.fault) for row in read] == [True, False] * 4 + [True]
    assert "unexpected end of data" in read[-1].fault
    assert read[-1].line == 10
    assert "not UTF-8" in read[6].fault
    assert given.header + "".join(row.text for row in read) == text
    assert all("50000" not in row.fault for row in read)


def test_a_line_that_is_no_json_costs_no_other():
    """Cut short, an array, nested too deep, not UTF-8, a name twice, endless."""
    bad = {
        '{"access_token": "50000': "it is no JSON",
        '["50000"]': "it is an array; give one object in each line",
        '"50000"': "it is no object",
        "[" * 100_000: "nests too deep",
        '{"seller_id": ' + "9" * 5_000 + "}": "a number that is too long",
        '{"seller_id": NaN}': "NaN",
        '{"seller_id": "1", "seller_id": "2"}': "a name twice",
        '{"seller_id": "\udce9"}': "not UTF-8",
    }
    text = "".join(f"{each}\n{json.dumps(flat(1))}\n" for each in bad)
    read = list(table(text.encode("utf-8", "surrogateescape"), "jsonl").rows)
    assert [row.line for row in read] == list(range(1, 17))
    for row, expected in zip(read[::2], bad.values(), strict=True):
        assert expected in row.fault
        assert "50000" not in row.fault
    assert [row.fault for row in read[1::2]] == [""] * 8
    endless = list(table(b'{"a": "' + b"x" * 3_000_000 + b'"}\n{}\n', "jsonl").rows)
    assert {row.line for row in endless[:-1]} == {1}
    assert "longer than a mebibyte" in endless[0].fault
    assert (endless[-1].line, endless[-1].fault) == (2, "")


# Long ones


@pytest.mark.drill
def test_a_huge_file_is_imported_in_flat_memory(tmp_path):
    """The peak of a run over 60,000 rows is that over 10,000, but for what a store keeps open."""
    peaks = []
    for count in (10_000, 60_000):
        reader, writer = os.pipe()

        def feed(writer=writer, count=count):
            with os.fdopen(writer, "wb") as pipe:
                for number in range(count):
                    pipe.write(json_lines([flat(number)]).encode())

        feeding = threading.Thread(target=feed)
        feeding.start()
        code = (
            "import resource, sys; from iop_async.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,"
            " file=sys.stderr); raise"
        )
        store = f"sqlite:///{tmp_path}/{count}.db"
        done = subprocess.run(
            [sys.executable, "-c", code, *COMMAND[3:], "-", "--format", "jsonl", "--store", store],
            env={**os.environ, **SETTINGS},
            stdin=reader,
            capture_output=True,
            check=True,
        )
        os.close(reader)
        feeding.join()
        assert summary(done) == {"rows": count, "imported": count}
        peaks.append(int(done.stderr))
    assert peaks[1] < peaks[0] * 1.15, peaks


@pytest.mark.drill
def test_an_import_that_is_interrupted_goes_on_where_it_was(tmp_path, file):
    """By Ctrl-C, which is told of, or by a kill, which nobody can tell of."""
    count = 200_000
    path = file(csv_of([flat(number) for number in range(count)]))
    store = f"sqlite:///{tmp_path}/interrupted.db"
    there = 0
    for sign in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(
            [*COMMAND, path, "--store", store, "--json"],
            env={**os.environ, **SETTINGS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            wait_for_more(path.with_name("interrupted.db"), than=there)
            process.send_signal(sign)
            out, err = process.communicate(timeout=240)
        assert b"Traceback" not in err
        before, there = there, len(kept(store))
        assert before < there < count
        if sign is signal.SIGINT:
            assert process.returncode == 130
            assert json.loads(out)["imported"] <= there
    done = run(path, "--store", store)
    assert summary(done) == {"rows": count, "imported": count - there, "unchanged": there}
    assert len(kept(store)) == count


def wait_for_more(path, than):
    """Until a file has more records."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
        ):
            if db.execute("SELECT count(*) FROM records").fetchone()[0] > than:
                return
        time.sleep(0.002)
    raise AssertionError("nothing was imported")
