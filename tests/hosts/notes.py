"""What hosts note while they work, line by line, for whoever judges them afterwards."""

import hashlib
import json
import os
import time
from pathlib import Path


def digest(token):
    """The name of a refresh token in the sandbox's ledger."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


class Notes:
    """A file that a process adds lines to; one that is killed leaves only whole ones behind."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, kind, **facts):
        line = {"kind": kind, "pid": os.getpid(), "at": time.time(), **facts}
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read(directory):
    """All notes in a directory, in the order of their times."""
    texts = [path.read_text() for path in Path(directory).glob("*.notes")]
    notes = [json.loads(line) for text in texts for line in text.splitlines()]
    return sorted(notes, key=lambda note: note["at"])


def tokens_of(record):
    """The refresh tokens of a record: that in use, and those kept aside."""
    body = json.loads(record.body)
    return {
        "seller": record.seller_id,
        "token": digest(body["token"]["refresh_token"]),
        "aside": [digest(one["refresh_token"]) for one in body["candidates"]],
        "state": body["state"],
        "is_refused": body["refused_at"] is not None,
        "is_open": body["intent"] is not None,
        "expires_at": body["token"]["expires_at"] / 1e6,
    }
