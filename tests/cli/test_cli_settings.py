"""Where the command line finds its settings: options, variables, profiles, and what these name."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cli_helpers import COMMAND, KEY, SECRET, invoke

PROFILES = """
default = "live"

[profiles.live]
app_key = "{key}"
app_secret = {secret!r}
gateway = "{url}"
store = "sqlite:///{store}"

[profiles.other]
app_key = "999999"
gateway = "{url}"
"""


@pytest.fixture
def config(shop):
    """A config file, in the directory that the platform has for such."""
    folder = shop.folder / "iop-async"
    folder.mkdir()
    path = folder / "config.toml"

    def write(secret=SECRET, text=PROFILES, mode=0o600):
        path.write_text(text.format(key=KEY, secret=secret, url=shop.url, store=shop.store))
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def home(shop):
    return {"XDG_CONFIG_HOME": str(shop.folder)}


ECHO = ["call", "/sandbox/echo", "-p", "order_id=42"]


def test_a_profile_is_enough_for_a_call(config, home):
    """The default one, where nobody names another; nothing is said where all is well."""
    config()
    done = invoke(*ECHO, env=home)
    assert (done.status, done.err) == (0, "")
    assert done.document["data"]["params"] == {"order_id": "42"}


def test_an_option_goes_before_a_variable_and_that_before_a_profile(config, home):
    """The app key is public, so the dry run shows whose it is."""
    config()
    dry = [*ECHO, "--dry-run", "--json"]

    def key(*options, **env):
        done = invoke(*dry, *options, env={**home, **env})
        return done.document["params"]["app_key"]

    assert key() == KEY
    assert key(IOP_APP_KEY="2222") == "2222"
    assert key("--app-key", "1111", IOP_APP_KEY="2222") == "1111"
    assert key("--profile", "other", IOP_APP_SECRET=SECRET) == "999999"
    assert key(IOP_PROFILE="other", IOP_APP_SECRET=SECRET) == "999999"


@pytest.mark.parametrize(
    ("name", "given", "command"),
    [
        ("app_key", {}, ECHO),
        ("gateway", {"IOP_APP_KEY": KEY}, ["tokens", "list"]),
        ("app_secret", {"IOP_APP_KEY": KEY, "IOP_GATEWAY": "lazada_sg"}, ECHO),
        ("store", {"IOP_APP_KEY": KEY, "IOP_GATEWAY": "lazada_sg"}, ["tokens", "list"]),
        ("store", {}, ["store", "check"]),
        ("redirect_uri", {}, ["login"]),
    ],
)
def test_what_is_missing_is_named_as_option_variable_and_line_of_a_profile(
    home, name, given, command
):
    """So that nobody has to look it up."""
    given = {"IOP_APP_KEY": "", **given} if name != "app_key" else {"IOP_GATEWAY": "lazada_sg"}
    done = invoke(*command, env={**home, **given})
    assert done.status == 2
    assert f"--{name.replace('_', '-')}" in done.err
    assert f"IOP_{name.upper()}" in done.err
    assert f"{name} = ..." in done.err
    assert "config.toml" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_with_secrets_that_others_may_read_is_told_of(config, home):
    """With the command that mends it; one that only says where they are is nobody's secret."""
    path = config(mode=0o644)
    done = invoke(*ECHO, env=home)
    assert done.status == 0
    assert f"chmod 600 {path}" in done.err
    assert SECRET not in done.err
    path.write_text(path.read_text().replace(f"'{SECRET}'", '"env:SHOP_SECRET"').replace(
        "store = ", "journal = "))  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    done = invoke(*ECHO, env={**home, "SHOP_SECRET": SECRET})
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app_secret = hunter2", "it is no TOML"),
        ("[profiles.live]\napp_secrets = 'hunter2'", "did you mean 'app_secret'?"),
        ("[profile.live]\na = 'hunter2'", "did you mean 'profiles'?"),
        ("[profiles]\nlive = 'hunter2'", "profiles.live is no table"),
        ("[profiles.live]\napp_secret = ['hunter2']", "is no text"),
        ("default = 'nobody'\n[profiles.live]\napp_secret = 'hunter2'", "no profile 'nobody'"),
        ("[profiles.live]\napp_secret = '\udcff'", "it is no TOML"),
    ],
)
def test_a_config_file_that_is_wrong_is_told_of_without_what_it_holds(config, home, text, words):
    """Its path, and what to change."""
    path = config()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    given = [*ECHO, *(["--profile", "live"] if "nobody" not in text else [])]
    done = invoke(*given, env=home)
    assert done.status == 2
    assert str(path) in done.err
    assert words in done.err
    assert "hunter2" not in done.err


def test_a_file_that_was_asked_for_must_be_there(home):
    """The usual one need not."""
    assert "no such file" in invoke(*ECHO, "--config", "/nowhere/x.toml", env=home).err
    assert "there is no gateway" in invoke(*ECHO, env=home).err


def test_the_usual_file_of_somebody_else_is_done_without(config, home, monkeypatch):
    """As for a service that is started with the home of another user."""
    path, opened = config(), Path.open

    def refuse(self, *args, **kwargs):
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    done = invoke(*ECHO, env=home)
    assert "Permission denied; going on without it" in done.err
    assert "there is no gateway" in done.err
    done = invoke(*ECHO, "--config", str(path), env=home)
    assert (done.status, "going on" in done.err) == (2, False)


# Secrets from elsewhere


def test_a_secret_is_read_from_a_file_a_program_and_a_variable(shop):
    """By the option, by its own variable, and by a profile alike; a line end is no part of it."""
    path = shop.folder / "secret"
    path.write_text(f"{SECRET}\r\n")
    for source in (f"file:{path}", f"command:cat {path}", "env:SHOP_SECRET"):
        env = {"IOP_APP_SECRET": source, "SHOP_SECRET": SECRET}
        assert shop.invoke(*ECHO, **env).status == 0
        env = {"IOP_APP_SECRET": "wrong", "SHOP_SECRET": SECRET}
        assert shop.invoke(*ECHO, "--app-secret", source, **env).status == 0


def test_secrets_are_read_from_standard_input_line_by_line(shop):
    """Two of them, and then the parameters: nobody reads what is for the next."""
    token = shop.sandbox.grant("1001")["access_token"]
    given = f'{SECRET}\n{token}\n{{"limit": 2}}'
    options = ["--app-secret", "-", "--access-token", "-", "--params", "-"]
    done = shop.run("call", "/orders/get", *options, given=given)
    assert done.status == 0, done.err
    assert len(done.document["data"]["orders"]) == 2
    done = shop.run(*ECHO, "--app-secret", "-", given="")
    assert "standard input, which has no line for it" in done.err


def test_no_secret_need_be_an_argument_of_a_process(shop):
    """What other users see of a process: its arguments, in /proc and by ps."""
    path = shop.folder / "secret"
    path.write_text(SECRET)
    pipe = shop.folder / "pipe"
    os.mkfifo(pipe)
    given = [*COMMAND, *ECHO, "--app-secret", f"file:{path}", "--params", str(pipe)]
    env = {**os.environ, **shop.env, "IOP_APP_SECRET": ""}
    with subprocess.Popen(given, env=env, stdout=subprocess.PIPE) as process:
        with pipe.open("w") as file:  # it runs as long as nobody has written there
            arguments = subprocess.run(
                ["ps", "-ww", "-o", "args=", "-p", str(process.pid)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            file.write("{}")
        assert process.wait(30) == 0
    assert "--app-secret" in arguments
    assert SECRET not in arguments


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("file:/nowhere/secret", "the app secret is to be read from file:/nowhere/secret: No such"),
        ("file:/", "Is a directory"),
        ("file:/dev/null", "which is not set, or empty"),
        ("env:NO_SUCH_VARIABLE", "env:NO_SUCH_VARIABLE, which is not set, or empty"),
        ("command:false hunter2", "'false', which ended with status 1"),
        ("command:no-such-program hunter2", "'no-such-program', which cannot be run"),
        ("command:true hunter2", "the command, which is not set, or empty"),
        ("command:'hunter2", "cannot be run"),
        ("command:head -c 70000 /dev/zero", "no text of 64 KiB or less"),
        ("command:printf '\\377'", "no text"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_of(shop, source, words):
    """Where it should be; of a command the program alone, its arguments may be secret."""
    done = shop.invoke(*ECHO, "--app-secret", source)
    assert done.status == 1
    assert words in done.err
    assert "hunter2" not in done.err


def test_a_program_that_gives_a_secret_is_run_without_a_shell(shop):
    """What a shell would do with its words is not done."""
    mark = shop.folder / "mark"
    shop.invoke(*ECHO, "--app-secret", f"command:echo {SECRET}; touch {mark}")
    shop.invoke(*ECHO, "--app-secret", f"command:echo $(touch {mark})")
    assert not mark.exists()


def test_clear_text_over_a_network_must_be_allowed(shop):
    """By the words of a shell, and as a variable too."""
    given = [*ECHO, "--gateway", "http://shop.example", "--dry-run"]
    refused = shop.invoke(*given)
    assert refused.status == 1
    assert "use https, or say --allow-http" in refused.err
    assert "=True" not in refused.err
    assert shop.invoke(*given, "--allow-http").status == 0
    assert shop.invoke(*given, IOP_ALLOW_HTTP="1").status == 0
    assert "neither true nor false" in shop.invoke(*given, IOP_ALLOW_HTTP="perhaps").err
