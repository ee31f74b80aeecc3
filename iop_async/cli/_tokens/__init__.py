"""``iop-async tokens``: look at what a store keeps, and work with it."""

from __future__ import annotations

import click

from .._group import Group
from .auditing import audit
from .exporting import export
from .forgetting import forget
from .importing import import_tokens
from .listing import due, list_tokens, show
from .refreshing import refresh


@click.group(cls=Group)
def tokens() -> None:
    """Work with the tokens in a store."""


for command in (audit, due, export, forget, import_tokens, list_tokens, refresh, show):
    tokens.add_command(command)
