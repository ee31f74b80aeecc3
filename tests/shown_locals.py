"""What a reporter of errors would send away of each error that a test expects.

Such reporters print the local variables of every frame. Errors of bad input pass no frame of the
library that holds a secret of the tests.
"""

import re
from contextlib import suppress

import pytest

SECRETS = re.compile(r"helloworld|5000(?:0601|1600)\w{20}|canary", re.IGNORECASE)
"""The app's secret, the tokens that the sandbox hands out, and what tests plant."""

_OURS = re.compile(r"iop_async(?!\.(?:sandbox|testing|cli)\b)")


def leaks(error):
    """The frames of the library, and their variables, that show a secret."""
    found, waiting, seen = [], [error], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback = each.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if _OURS.match(frame.f_globals.get("__name__", "")):
                found += _leaks_of(frame)
            traceback = traceback.tb_next
        waiting += [each.__cause__, each.__context__]
    return found


def _leaks_of(frame):
    found = []
    for name, value in list(frame.f_locals.items()):
        with suppress(Exception):  # half made, or a foreign driver's
            if SECRETS.search(repr(value)):
                found.append(f"{frame.f_code.co_qualname}: {name}")
    return found


class Watched:
    """An expectation of ``pytest.raises`` that looks at what it met."""

    def __init__(self, expected):
        self._expected = expected

    def __enter__(self):
        return self._expected.__enter__()

    def __exit__(self, kind, error, traceback):
        found = leaks(error) if isinstance(error, (TypeError, ValueError)) else []
        is_met = self._expected.__exit__(kind, error, traceback)
        assert not found, f"an error of bad input shows secrets: {found}"
        return is_met


@pytest.fixture(autouse=True, scope="session")
def bad_input_shows_no_secret():
    """In no test of the suite, whatever it is about."""
    raises = pytest.raises

    def watched(expected, *arguments, **options):
        met = raises(expected, *arguments, **options)
        return met if arguments else Watched(met)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "raises", watched)
        yield
