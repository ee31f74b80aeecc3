"""``iop-async completion``: what makes a shell complete the commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._group import Command, Failed
from ._output import print_json, wants_json


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands.

    Options, markets and profiles too.

    \b
    bash:  iop-async completion bash > ~/.local/share/bash-completion/completions/iop-async
    zsh:   iop-async completion zsh > "${fpath[1]}/_iop-async"
    fish:  iop-async completion fish > ~/.config/fish/completions/iop-async.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    root = context.find_root()
    completer = get_completion_class(shell)
    if completer is None:
        msg = f"there is no completion for {shell}"
        raise Failed(msg)
    made = completer(root.command, {}, "iop-async", "_IOP_ASYNC_COMPLETE")
    # Not by source(), which asks the bash of this machine for its version first.
    script = made.source_template % made.source_vars()
    if wants_json():
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
