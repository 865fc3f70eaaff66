"""Other imitations of SQS, second opinions for the conformance suite: each from PyPI, in an environment of its own.

`make oracles` makes the environments in `.cache/oracles/NAME` from `requirements/oracles/NAME.txt`. Each listens
on a free port of 127.0.0.1 and nowhere else, which is looked up after its start, and is ended by its process id.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.local_sqs import ROOT, boto3_client
from tests.support.ports import free_port
from tests.support.waiting import GLOBAL, wait_until

HOST = "127.0.0.1"
HOME = ROOT / ".cache" / "oracles"
# Seconds until it must answer: moto imports for two.
START = 30.0
LISTENING = "0A"  # state of a socket in /proc/net/tcp
LOOPBACKS = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")

# Name -> the words that start it on a port of loopback, after the folder of its programs.
COMMANDS: Mapping[str, Callable[[int], list[str]]] = {
    "moto": lambda port: ["moto_server", "--host", HOST, "--port", str(port)],
    "ministack": lambda _: ["ministack"],  # told by its environment
    "roto-aws": lambda port: ["roto-server", "--host", HOST, "--port", str(port), "--ephemeral"],
}


def environment(port: int, home: str) -> dict[str, str]:
    """What an oracle finds in its environment: nothing of ours but the path, and where ministack must listen.

    ministack listens on all interfaces unless BIND_HOST says otherwise.
    """
    own = {"BIND_HOST": HOST, "GATEWAY_PORT": str(port), "SERVICES": "sqs", "LOG_LEVEL": "WARNING"}
    return {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, **own}


class Oracle:
    """A running oracle.

    Attributes:
        url: of its endpoint.

    Args:
        name: one of `COMMANDS`.

    Raises:
        RuntimeError: its environment is missing, it does not answer in time, or it listens beyond loopback.
    """

    def __init__(self, name: str) -> None:
        port = free_port()
        program, *words = COMMANDS[name](port)
        path = HOME / name / "env" / "bin" / program
        if not path.exists():
            raise RuntimeError(f"there is no {path}; run: make oracles")
        self.name = name
        self.url = f"http://{HOST}:{port}"
        self._home = tempfile.TemporaryDirectory(prefix=f"hadoken-{name}-")
        self._log = Path(self._home.name, "log")
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [path, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home.name,
                env=environment(port, self._home.name),
            )
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        if not wait_until(lambda: self._child.poll() is not None or self._answers(), START):
            raise RuntimeError(f"{self.name} did not answer within {START} s:\n{self._log.read_text()}")
        if self._child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n{self._log.read_text()}")
        if beyond := listening_beyond_loopback(self._child.pid):
            raise RuntimeError(f"{self.name} listens beyond loopback: {beyond}")

    def _answers(self) -> bool:
        port = int(self.url.rpartition(":")[2])
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            return False
        client = boto3_client(self.url)
        try:
            client.list_queues()
        finally:
            client.close()
        return True

    def close(self) -> None:
        """End it: asked first, killed if it does not listen."""
        self._child.terminate()
        try:
            self._child.wait(GLOBAL / 4)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def listening_beyond_loopback(pid: int) -> list[str]:
    """Addresses, as /proc/net writes them, on which a process listens and which others can reach; empty is right."""
    held: set[str] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            held.add(str(descriptor.readlink()))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        if (path := Path(f"/proc/{pid}/net/{table}")).exists()
        for line in path.read_text().splitlines()[1:]
    ]
    return [
        row[1]
        for row in rows
        if row[3] == LISTENING and f"socket:[{row[9]}]" in held and row[1].partition(":")[0] not in LOOPBACKS
    ]
