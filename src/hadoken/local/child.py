"""The local SQS as a child process that never outlives us.

The child reads a pipe that we hold: however we end, the kernel closes the pipe and the child ends. It leads a process
group of its own, so that Ctrl-C in a terminal reaches us alone and a worker can drain while its SQS still runs.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from hadoken.errors import ConfigurationError
from hadoken.local.finding import VARIABLE, answers, connection_to
from hadoken.local.http.server import HOST
from hadoken.sqs.connection import Connection

BOOT: Final = 20.0  # seconds for the child to listen; it takes half a second on an idle machine
END: Final = 5.0  # seconds for the child to end by itself


class ChildServer:
    """A local SQS in a child process: `with ChildServer() as sqs:`.

    Args:
        port: where it listens, on loopback; 0 takes a free one.
        reuse: use one that listens there already and is ours; it is left running at the end.
        options: further words of `python -m hadoken.local`.

    Attributes:
        url: its endpoint.
        pid: of the child; None when one was found that is not ours to end.

    Raises:
        ConfigurationError: another program holds the port, or the child could not start.

    Thread: any; blocks until the child listens. Starts no thread.
    """

    def __init__(self, port: int = 0, *, reuse: bool = False, options: Sequence[str] = ()) -> None:
        self.url = f"http://{HOST}:{port}"
        self._child: subprocess.Popen[bytes] | None = None
        if port and reuse and answers(self.url):
            return
        if port:
            _refuse_taken(port)
        self._start(port, options)

    @property
    def pid(self) -> int | None:
        """The child's process id; None when the local SQS was there before us."""
        return None if self._child is None else self._child.pid

    @property
    def connection(self) -> Connection:
        """How a worker or a sender reaches it."""
        return connection_to(self.url)

    def close(self) -> None:
        """End the child by closing its pipe; a second call does nothing. Blocks for at most a few seconds."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(END)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, port: int, options: Sequence[str]) -> None:
        # -P: a file of the user's folder, such as queue.py, must not take the place of a module of the child.
        command = [sys.executable, "-P", "-m", "hadoken.local", str(port), *options]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 -- our own module
        said = self._first_line(self._child)
        if not said.startswith(("http://", "https://")):
            self.close()
            raise ConfigurationError(f"the local SQS did not start: {said or 'its standard error says why'}")
        self.url = said

    @staticmethod
    def _first_line(child: subprocess.Popen[bytes]) -> str:
        """What the child prints: its URL once it listens, or why it cannot; "" if it said nothing in time."""
        if child.stdout is None:
            raise RuntimeError("the child has no standard output to read")
        ready, _, _ = select.select([child.stdout], [], [], BOOT)
        return child.stdout.readline().decode().strip() if ready else ""


def _refuse_taken(port: int) -> None:
    """Raise if the port is taken: asked by taking it for a moment, as the child will.

    Raises:
        ConfigurationError: somebody has it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise taken(HOST, port, error) from error


def taken(host: str, port: int, error: OSError) -> ConfigurationError:
    """The sentence for an address that cannot be had."""
    if isinstance(error, socket.gaierror):
        return ConfigurationError(f"the local SQS cannot listen on {host}: that is no address of this machine")
    return ConfigurationError(
        f"the local SQS cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}",
        hint=f"end the program that has the port, or set {VARIABLE} to another, for all commands alike",
    )
