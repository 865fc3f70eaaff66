"""Child processes of a test: their lines as they come, their threads as the kernel sees them, and a certain end."""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from hadoken.clock import SYSTEM
from hadoken.testing import leftovers
from tests.support.waiting import GLOBAL, GRACE, wait_until

# Bytes a child may write while nobody reads before it blocks; what the kernel grants without privilege.
PIPE_BYTES = 1_048_576
# Seconds after the end of a child in which its pipes must show their end; a grandchild may hold them open for longer.
LAST_WORDS = 0.5
ROOT = Path(__file__).parents[2]


class Child:
    """One child process, read without a thread: each wait reads whatever the child has written so far.

    Attributes:
        lines: both streams, in the order in which they were read, without line ends.
        out: the lines of standard output.
        err: the lines of standard error.

    Thread: the test's. A test that looks at /proc for long calls `read()` now and then, lest the child block.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] = ROOT,
        dev_mode: bool = False,
    ) -> None:
        """Start it, as the leader of a process group of its own, with unbuffered output.

        Args:
            arguments: the command line.
            env: added to our environment.
            cwd: the folder it runs in; the repository by default, so that `examples` can be imported.
            dev_mode: pass PYTHONDEVMODE on. It makes asyncio note where each callback comes from, several times slower.
        """
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        if not dev_mode:
            environment.pop("PYTHONDEVMODE", None)
        self.lines: list[str] = []
        self.out: list[str] = []
        self.err: list[str] = []
        self._killed = False
        self._process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        self._pidfd = os.pidfd_open(self.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ)
        for stream, lines in ((self._process.stdout, self.out), (self._process.stderr, self.err)):
            assert stream is not None
            self._listen(stream, lines)

    def _listen(self, stream: IO[bytes], lines: list[str]) -> None:
        fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, selectors.EVENT_READ, (lines, bytearray()))

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its process group."""
        return self._process.pid

    # ---------------------------------------------------------------------------------------------------- its output
    def read(self, timeout: float = 0.0) -> bool:
        """Take in what it has written, and say whether there was anything.

        Waits for at most `timeout` seconds for the first of it, or for its end, which counts too.
        """
        ready = self._selector.select(timeout)
        for key, _ in ready:
            if key.data is None:
                self._selector.unregister(self._pidfd)  # it has ended; the descriptor would stay readable for ever
            else:
                self._take(key)
        return bool(ready)

    def _take(self, key: selectors.SelectorKey) -> None:
        lines, rest = key.data
        chunk = os.read(key.fd, PIPE_BYTES)
        if not chunk:
            self._selector.unregister(key.fileobj)
            chunk = b"\n" if rest else b""  # the last line may have no end
        rest.extend(chunk)
        *whole, last = rest.split(b"\n")
        rest[:] = last
        for raw in whole:
            line = raw.decode(errors="replace")
            lines.append(line)
            self.lines.append(line)

    def wait_for_line(self, pattern: str, timeout: float = GLOBAL, *, since: int = 0) -> re.Match[str]:
        """Wait until a line holds `pattern` (searched, not matched whole) and return the match.

        Args:
            pattern: a regular expression.
            timeout: seconds.
            since: index in `lines` from which to look; `len(child.lines)` asks for a new line.

        Raises:
            AssertionError: no such line came in time or before the end of the child; holds all lines.
        """
        expression = re.compile(pattern)
        end = SYSTEM.lease() + timeout
        looked = since
        while True:
            found = next(filter(None, map(expression.search, self.lines[looked:])), None)
            if found is not None:
                return found
            looked = max(looked, len(self.lines))
            left = end - SYSTEM.lease()
            if left <= 0 or not self._selector.get_map():
                raise AssertionError(f"no line with {pattern!r} within {timeout} s ({self._state()})")
            self.read(left)

    def _state(self) -> str:
        code = self._process.poll()
        text = "\n".join(f"  {line}" for line in self.lines)
        return f"{'running' if code is None else f'exit {code}'}; its lines:\n{text}"

    # ------------------------------------------------------------------------------------------------------- its end
    def wait(self, timeout: float = GLOBAL) -> int:
        """Wait for its end, read the rest of its output, and return its exit code (negative: the signal's number).

        Output that a grandchild still holds open is not waited for much longer.

        Raises:
            AssertionError: it still runs after `timeout` seconds; holds its lines and threads.
        """
        end = SYSTEM.lease() + timeout
        while self._process.poll() is None:
            left = end - SYSTEM.lease()
            if left <= 0:
                raise AssertionError(f"still running after {timeout} s, threads {self.threads()} ({self._state()})")
            self.read(left)
        while self._selector.get_map() and self.read(LAST_WORDS):
            continue
        return self._process.returncode

    @property
    def returncode(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def terminate(self, timeout: float = GLOBAL) -> int:
        """Send SIGTERM and do as `wait` does."""
        self.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def interrupt(self, timeout: float = GLOBAL) -> int:
        """Send SIGINT and do as `wait` does."""
        self.send_signal(signal.SIGINT)
        return self.wait(timeout)

    def kill(self, timeout: float = GLOBAL) -> int:
        """Send SIGKILL and do as `wait` does; its own children may outlive it for a moment."""
        self._killed = True
        self.send_signal(signal.SIGKILL)
        return self.wait(timeout)

    # ----------------------------------------------------------------------------------------------- seen from outside
    def threads(self) -> dict[int, str]:
        """Kernel thread id -> kernel name (at most 15 bytes), from /proc; empty once it has ended."""
        return leftovers.os_threads(self.pid)

    def children(self) -> dict[int, str]:
        """Process id -> command line of its own children."""
        return leftovers.children(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory now.

        Raises:
            FileNotFoundError: it has ended.
        """
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def group(self) -> list[int]:
        """Ids of the processes of its group that are alive: itself and what it started."""
        return [pid for pid, (_, group) in leftovers.processes().items() if group == self.pid and not ended(pid)]

    def close(self, grace: float = GRACE) -> list[int]:
        """End it and all of its group if they still run, by their ids, and close what we hold; may be called twice.

        Args:
            grace: seconds that what it had started gets to notice its end.

        Returns:
            Processes that it had started and that outlived its own end although nobody killed it; empty is as it should
            be.
        """
        ended_by_itself = self.returncode is not None and not self._killed
        outlived = [] if not ended_by_itself or wait_until(lambda: not self.group(), grace) else self.group()
        if self.returncode is None:
            self.kill()
        for pid in self.group():
            with unless_gone():
                os.kill(pid, signal.SIGKILL)
        self._release()
        return outlived

    def _release(self) -> None:
        self._selector.close()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def hadoken_command(*words: str) -> list[str]:
    """The command line of `python -m hadoken` with these words."""
    return [sys.executable, "-m", "hadoken", *words]


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def unless_gone() -> Iterator[None]:
    """Go on if the process that was meant has ended in the meantime: that is what was wanted."""
    try:
        yield
    except ProcessLookupError:
        return
