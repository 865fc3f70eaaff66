"""`python -m hadoken.local [PORT]`: a local SQS for a parent process.

It prints its URL once it listens (port 0, the default, takes a free one) and ends with its standard input, so it never
outlives the parent that holds the pipe; SIGTERM and SIGINT end it too.
"""

from __future__ import annotations

import sys

from hadoken.local import server


def main(words: list[str]) -> None:
    """Serve until standard input ends."""

    def ready(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    server.run(port=int(words[0]) if words else 0, ready=ready, until=sys.stdin.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
