"""Tokens of sellers that some other system has kept so far."""

from datetime import timedelta

import iop_async as iop


def held(now, number, *, pair="", age=60.0, sellers=(), **fields):
    """A token as it was given out ``age`` seconds ago."""
    issued_at = now - timedelta(seconds=age)
    named = sellers or (f"s{number}",)
    given = {
        "access_token": f"access-{number}-{pair}",
        "refresh_token": f"refresh-{number}-{pair}",
        "issued_at": issued_at,
        "expires_at": issued_at + timedelta(days=30),
        "refresh_expires_at": issued_at + timedelta(days=180),
        "sellers": tuple(iop.Seller("sg", seller_id) for seller_id in named),
    }
    return iop.Token(**(given | fields))


def counts(report):
    """The numbers of a report that are not 0."""
    names = ("imported", "replaced", "unchanged", "skipped", "failed", "waiting")
    return {name: number for name in names if (number := getattr(report, name))}
