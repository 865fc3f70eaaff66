"""The command `hadoken`: finds its subcommand, and turns errors into one sentence and an exit code.

Rules of this package:
- A module here imports at its top only what `hadoken --help` needs; engine, botocore and the demo are imported by the
  command that uses them, so that each costs only its own users.
- Standard output is for data, standard error for everything else.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Final, Never

import click

import hadoken
from hadoken.cli.exits import code_of
from hadoken.errors import HadokenError

# In the order in which a newcomer meets them; each lives in hadoken.cli.<name> as `command`.
COMMANDS: Final = ("demo", "run", "check", "send", "local")


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """All subcommands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None where there is none of that name.

        Raises:
            UsageError: there is none, but one whose name is near.
        """
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            if near:
                raise click.UsageError(f"there is no command {cmd_name!r}; did you mean {near[0]}?", ctx)
            return None
        command: click.Command = importlib.import_module(f"hadoken.cli.{cmd_name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(hadoken.__version__, message="hadoken %(version)s")
def root() -> None:
    """Process Amazon SQS messages with pools of handler threads.

    `hadoken demo` shows all of it in a quarter of a minute, without an AWS account.
    """


def main(words: Sequence[str] | None = None) -> Never:
    """Run the command line.

    Args:
        words: without the program's name; None takes the process's own.

    Raises:
        SystemExit: always; 0 done, 2 not understood, others as `hadoken.cli.exits` says.
    """
    try:
        root.main(args=None if words is None else list(words), prog_name="hadoken")
    except HadokenError as error:
        click.echo(f"hadoken: {error}", err=True)
        sys.exit(code_of(error))
