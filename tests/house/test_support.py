"""The tools of the tests do what they promise: signals, child processes, ports."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support import ports
from tests.support.processes import Child
from tests.support.signals import TestSignal
from tests.support.waiting import wait_until

Start = Callable[..., Child]

ECHO = """
import signal, sys, threading
def end(*_):
    print("é" * 3, end="")
    print("bye", file=sys.stderr)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready on port 1234")
signal.pause()
"""
# Prints far more than a pipe holds by default.
LOUD = "print('x' * 999_999); print('end')"
# Leaves a child of its own behind, which ends with the pipe that the test holds.
DESERTER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"


def python(code: str) -> list[str]:
    """The command line that runs this code."""
    return [sys.executable, "-c", code]


def test_signal_waits_for_the_nth_fact_of_any_thread() -> None:
    """`wait(n)` returns the facts of other threads in the order in which they came."""
    facts = TestSignal[int]("facts")
    facts.require_empty()
    emitter = threading.Thread(target=lambda: [facts.emit(n) for n in range(3)])
    emitter.start()
    assert facts.wait(3) == [0, 1, 2]
    emitter.join()
    assert len(facts) == 3


def test_signal_that_does_not_come_names_facts_and_threads() -> None:
    """A wait in vain fails with what did come and with who is there."""
    facts = TestSignal[str]("deletes")
    facts.emit("one")
    with pytest.raises(AssertionError, match=r"(?s)deletes: 1 of 2 facts.*'one'.*MainThread"):
        facts.wait(2, timeout=0.01)
    with pytest.raises(AssertionError, match="expected no fact"):
        facts.require_empty()


def test_signal_can_be_awaited_while_another_thread_tells() -> None:
    """`wait_async` leaves the loop running and hears other threads."""
    facts = TestSignal[int]()

    async def main() -> list[int]:
        emitter = threading.Thread(target=facts.emit, args=(7,))
        asyncio.get_running_loop().call_soon(emitter.start)
        got = await facts.wait_async()
        emitter.join()
        return got

    assert asyncio.run(main()) == [7]


def test_signal_awaited_in_vain_fails() -> None:
    """`wait_async` has a bound too, and forgets its listener."""
    facts = TestSignal[int]("never")
    with pytest.raises(AssertionError, match="never: 0 of 1 facts"):
        asyncio.run(facts.wait_async(timeout=0.01))
    facts.emit(1)  # would call into a closed loop


def test_child_is_read_line_by_line_and_ends_by_signal(start_process: Start) -> None:
    """Lines, threads, memory and exit code of a child are seen, each stream by itself."""
    child = start_process(python(ECHO))
    assert child.wait_for_line(r"port (\d+)").group(1) == "1234"
    assert wait_until(lambda: len(child.threads()) == 2)
    assert child.rss_bytes() > 1_000_000
    assert child.group() == [child.pid]
    assert child.terminate() == 3
    assert (child.out, child.err) == (["ready on port 1234", "ééé"], ["bye"])
    assert child.threads() == {}


def test_child_that_says_nothing_fails_the_wait(start_process: Start) -> None:
    """A line that never comes is an error that shows the lines that did, at the latest at the child's end."""
    child = start_process(python("print('hello')"))
    with pytest.raises(AssertionError, match=r"(?s)no line with 'goodbye'.*hello"):
        child.wait_for_line("goodbye")
    assert child.wait() == 0


def test_child_may_write_much_at_once(start_process: Start) -> None:
    """A line that is larger than a pipe's usual size arrives whole."""
    child = start_process(python(LOUD))
    assert child.wait() == 0
    assert [len(line) for line in child.lines] == [999_999, 3]


def test_child_is_killed_by_its_id(start_process: Start) -> None:
    """`kill` ends what does not listen."""
    child = start_process(python(ECHO))
    child.wait_for_line("ready")
    assert child.kill() == -signal.SIGKILL


def test_child_that_outlives_its_parent_is_found_and_ended() -> None:
    """`close` names and ends what a child left behind."""
    child = Child(python(DESERTER))
    child.wait()
    left = child.group()
    assert len(left) == 1
    assert child.close(grace=0.05) == left
    assert wait_until(lambda: not child.group())


def test_ports_refuse_or_stay_silent() -> None:
    """A refusing port refuses; a silent one accepts; a free one can be bound."""
    with ports.refusing_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with ports.silent_port() as port, socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        assert client.getpeername()[1] == port
    with socket.create_server(("127.0.0.1", ports.free_port())):
        pass
