"""`python -m hadoken.local [PORT] [OPTION...]`: a local SQS for a parent process.

It prints its URL once it listens (port 0, the default, takes a free one), or the sentence that says why it cannot. It
ends with its standard input, so it never outlives the parent that holds the pipe; SIGTERM and SIGINT end it too. The
options are those of `hadoken local`; `--require-signature` takes its key from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from hadoken.errors import ConfigurationError
from hadoken.local import child, faultscript, logfile
from hadoken.local.faults import Faults
from hadoken.local.http import server, sigv4, tls
from hadoken.local.state.profile import PROFILES

MISCONFIGURED = 78  # EX_CONFIG of sysexits(3)


def main(words: list[str]) -> int:
    """Serve until standard input ends; returns the exit code."""
    asked = _parser().parse_args(words)
    try:
        _serve(asked)
    except ConfigurationError as error:
        sys.stdout.write(f"{error}\n")
    except OSError as error:
        sys.stdout.write(f"{child.taken(server.HOST, asked.port, error)}\n")
    else:
        return 0
    return MISCONFIGURED


def _serve(asked: argparse.Namespace) -> None:
    script = faultscript.Script((), 0) if asked.faults is None else faultscript.load(asked.faults)

    def ready(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    with ExitStack() as stack:
        log = None if asked.log is None else stack.enter_context(logfile.to_file(asked.log))
        server.run(
            port=asked.port,
            ready=ready,
            until=sys.stdin.fileno(),
            keys=sigv4.access_keys((), os.environ) if asked.require_signature else None,
            data=asked.data,
            profile=PROFILES[asked.profile],
            seed=asked.seed,
            faults=Faults(script.rules, seed=script.seed),
            log=log,
            tls=tls.chosen(asked.cert, asked.key),
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hadoken.local")
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="aws")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--log")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--require-signature", action="store_true")
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
