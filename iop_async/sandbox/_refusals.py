"""Why a call is refused, whoever refuses it; each dialect has its own words for it."""

from __future__ import annotations

from attrs import define, field, frozen


@define(eq=False)
class Refusal(Exception):
    """The gateway, or the business behind it, refuses a call.

    Args:
        code: a reason, named as IOP names it, or a code of the dialect at hand.
        message, type, sub_code, sub_message: other words than the dialect's own.
        about: which parameter; why a token is not good; whose limit, where that is needed.
        seconds: how much is left of a ban.
        string_to_sign: what the sandbox signed, for a wrong signature.
    """

    code: str
    message: str | None = None
    type: str | None = field(default=None, kw_only=True)
    sub_code: str | None = field(default=None, kw_only=True)
    sub_message: str | None = field(default=None, kw_only=True)
    about: str = field(default="", kw_only=True)
    seconds: int | None = field(default=None, kw_only=True)
    string_to_sign: str | None = field(default=None, kw_only=True)


@frozen
class Said:
    """A refusal in the words of a dialect."""

    code: str
    message: str
    type: str = ""
    sub_code: str | None = None
    sub_message: str | None = None
    string_to_sign: str | None = None


def missing(name: str) -> Refusal:
    """The refusal of a call that lacks a parameter."""
    return Refusal("MissingParameter", about=name)
