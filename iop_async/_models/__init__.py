"""The values that travel between the rooms: all frozen, none of them shows a secret."""

from .calls import NO_SECRET, App, Call, Failure, Reply
from .tokens import Seller, Token

__all__ = ["NO_SECRET", "App", "Call", "Failure", "Reply", "Seller", "Token"]
