"""Where a secret is read from: a file, a command, a variable of the environment, standard input."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

from ._redact import Secret

_SOURCE: Final = re.compile(r"(env|file|command):(.+)", re.DOTALL)

_MAX_BYTES: Final = 1 << 16
_TIMEOUT: Final = 60.0
"""Seconds that a command may take: somebody may have to type a passphrase."""


def is_source(text: str) -> bool:
    """Whether a text says where a secret is, instead of being one."""
    return _SOURCE.fullmatch(text) is not None


def read_secret(name: str, source: str) -> Secret:
    """The secret that a source holds, without the line end behind it.

    Args:
        name: of what is read, for messages.
        source: ``env:NAME``, ``file:PATH`` or ``command:PROGRAM ARGUMENT...``, which is run without
            a shell and prints the secret; any other text is the secret itself.

    Raises:
        ValueError: the source cannot be read, or is empty. The message repeats nothing of what it
            holds, and of a command the program alone.
    """
    found = _SOURCE.fullmatch(source)
    if found is None:
        return Secret(source)
    kind, place = found.groups()
    text = _READERS[kind](name, place).removesuffix("\n").removesuffix("\r")
    if not text.strip():
        shown = "the command" if kind == "command" else f"{kind}:{place}"
        msg = f"{name} is to be read from {shown}, which is not set, or empty"
        raise ValueError(msg)
    return Secret(text)


def is_open_to_others(file: os.stat_result) -> bool:
    """Whether other users of this machine may read or change a plain file."""
    is_plain = os.name == "posix" and stat.S_ISREG(file.st_mode)
    return is_plain and bool(file.st_mode & 0o077)


def read_line(name: str) -> Secret:
    """The secret in the next line of standard input.

    Raises:
        ValueError: there is none.
    """
    line = b""
    # Byte by byte: what stands behind it may be for somebody else.
    while len(line) < _MAX_BYTES and not line.endswith(b"\n"):
        piece = os.read(sys.stdin.fileno(), 1)
        if not piece:
            break
        line += piece
    text = _text(name, line).removesuffix("\n").removesuffix("\r")
    if not text.strip():
        msg = f"{name} is to be read from standard input, which has no line for it"
        raise ValueError(msg)
    return Secret(text)


def _from_environment(_name: str, variable: str) -> str:
    return os.environ.get(variable, "")


def _from_file(name: str, path: str) -> str:
    reason = ""
    try:
        # Whatever can be read once will do: a pipe of the shell, a secret that is mounted.
        with Path(path).expanduser().open("rb") as file:
            return _text(name, file.read(_MAX_BYTES + 1))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    msg = f"{name} is to be read from file:{path}: {reason}"
    raise ValueError(msg)


def _from_command(name: str, command: str) -> str:
    program, reason, output = "a command", "", None
    try:
        arguments = shlex.split(command)
        program = arguments[0]
        # Its standard error is the user's: it may ask for a passphrase there.
        done = subprocess.run(  # noqa: S603 - no shell; who may name a command may run it
            arguments, stdout=subprocess.PIPE, timeout=_TIMEOUT, check=False
        )
        output = done.stdout if done.returncode == 0 else None
        reason = f"ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"did not end within {_TIMEOUT:.0f} s"
    except (OSError, ValueError, IndexError) as error:
        reason = f"cannot be run ({getattr(error, 'strerror', None) or type(error).__name__})"
    if output is not None:
        return _text(name, output)
    msg = f"{name} is to be read from {program!r}, which {reason}"
    raise ValueError(msg)


def _text(name: str, content: bytes) -> str:
    if len(content) <= _MAX_BYTES:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    msg = f"{name} is to be read from what is no text of 64 KiB or less"
    raise ValueError(msg)


_READERS: Final = {"env": _from_environment, "file": _from_file, "command": _from_command}
