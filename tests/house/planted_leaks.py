"""Tests that leave something behind on purpose; `test_leak_check` runs them in a process of their own.

The name of a test says what it plants: `test_leaves_<kind>` must fail, `test_clean_<kind>` must pass.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from hadoken.message import Message

KEPT: list[object] = []


@pytest.fixture(scope="module")
def kept_open() -> socket.socket:
    """A socket of the whole module: no test's leak."""
    KEPT.append(socket.socket())
    return KEPT[-1]  # type: ignore[return-value] # just put there


def message() -> Message[str]:
    """Any message."""
    return Message(id="m-1", body="b", raw_body="b", queue="q")


def test_leaves_thread() -> None:
    """A thread that nobody ends."""
    threading.Thread(target=threading.Event().wait, name="planted-thread", daemon=True).start()


def test_leaves_task() -> None:
    """A task on a loop that is kept."""
    loop = asyncio.new_event_loop()
    KEPT.append((loop, loop.create_task(asyncio.Event().wait(), name="planted-task")))


def test_leaves_timer() -> None:
    """A timer on a loop that is kept."""
    loop = asyncio.new_event_loop()
    KEPT.append((loop, loop.call_later(3600, print, "planted-timer")))


def test_leaves_socket() -> None:
    """A socket that nobody closes."""
    KEPT.append(socket.socket())


def test_leaves_pipe() -> None:
    """A pipe that nobody closes."""
    KEPT.append(os.pipe())


def test_leaves_child() -> None:
    """A child that nobody waits for; it ends with us, as its standard input does."""
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input('planted-child')"], stdin=subprocess.PIPE))


def test_leaves_message() -> None:
    """A message that a list keeps."""
    KEPT.append(message())


def test_leaves_signal() -> None:
    """A signal handler that nobody takes away."""
    signal.signal(signal.SIGUSR2, lambda *_: None)


def test_leaves_variable() -> None:
    """An environment variable that nobody takes away."""
    os.environ["PLANTED_VARIABLE"] = "1"


def test_clean_thread() -> None:
    """A thread that is just ending when the test returns."""
    go = threading.Event()
    threading.Thread(target=go.wait, daemon=True).start()
    go.set()


def test_clean_cycle() -> None:
    """A message in a cycle that only the collector can free."""
    cycle: list[object] = [message()]
    cycle.append(cycle)


def test_clean_loop() -> None:
    """A loop that is closed, with a task and a timer that go with it."""

    async def main() -> None:
        asyncio.get_running_loop().call_later(3600, print)
        await asyncio.gather(asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), 0)), return_exceptions=True)

    asyncio.run(main())


def test_clean_fixture(kept_open: socket.socket, tmp_path: os.PathLike[str]) -> None:
    """A socket that belongs to a fixture of the module."""
    assert kept_open.fileno() >= 0


@pytest.mark.plants_leaks
def test_clean_marked() -> None:
    """A leak of a test that says so."""
    KEPT.append(socket.socket())
