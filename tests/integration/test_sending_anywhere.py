"""Sending where sockets are easily shared or blocked: over a fork, before one, under gevent, beside a loop."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable

import pytest

from tests.support.peer import LIMIT, Peer, Served, answer
from tests.support.processes import Child
from tests.support.waiting import wait_until

TAKEN = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')
_SENDER = re.compile(rb'"MessageBody":"(\d+)"')
_PROGRAM = [sys.executable, "-m", "tests.support.sender_app"]


def senders(peer: Peer) -> dict[int, set[int]]:
    """Process id -> the ports that it sent from. Checks that every request was of our own transport."""
    found: dict[int, set[int]] = {}
    for request, port in zip(peer.requests, peer.ports, strict=True):
        assert b"\r\nUser-Agent: hadoken" in request
        match = _SENDER.search(request)
        assert match is not None
        found.setdefault(int(match[1]), set()).add(port)
    return found


def shared(ports: dict[int, set[int]]) -> set[int]:
    """Ports that more than one process sent from."""
    every = [port for each in ports.values() for port in each]
    return {port for port in every if every.count(port) > 1}


@pytest.mark.parametrize(("case", "messages", "processes"), [("preload", 7, 3), ("afork", 6, 2)])
def test_a_child_sends_by_sockets_of_its_own(
    case: str, messages: int, processes: int, start_process: Callable[..., Child]
) -> None:
    """Whatever was sent before the fork: no connection carries requests of two processes, and all are answered."""
    with Peer(*[TAKEN] * messages) as peer:
        child = start_process([*_PROGRAM, case, peer.url])
        child.wait_for_line("^done$")
    ports = senders(peer)
    assert (len(peer.requests), len(ports), shared(ports)) == (messages, processes, set())


def test_a_fork_in_the_middle_of_a_request(start_process: Callable[..., Child]) -> None:
    """The child sends while a thread of its parent waits for an answer, which the parent gets in the end."""
    go_on = threading.Event()

    def hold(served: Served) -> None:
        go_on.wait(LIMIT)
        served.send(TAKEN)

    with Peer(TAKEN, hold, TAKEN, TAKEN, TAKEN) as peer:
        child = start_process([*_PROGRAM, "fork", peer.url])
        assert wait_until(lambda: len(peer.requests) == 2)
        os.kill(child.pid, signal.SIGUSR1)
        child.wait_for_line("^child ended$")
        go_on.set()
        child.wait_for_line("^done$")
    ports = senders(peer)
    assert (len(peer.requests), len(ports), shared(ports)) == (5, 2, set())


def test_greenlets_send_at_once(start_process: Callable[..., Child]) -> None:
    """Under gevent ten sends wait for their answers together: none is answered before all have come."""
    together = threading.Barrier(10)

    def meet(served: Served) -> None:
        together.wait(LIMIT)
        served.send(TAKEN)

    with Peer(*[meet] * 10) as peer:
        start_process([*_PROGRAM, "gevent", peer.url]).wait_for_line("^done$")
    assert (len(peer.requests), peer.connections, len(senders(peer))) == (10, 10, 1)


def test_send_beside_a_loop(start_process: Callable[..., Child]) -> None:
    """In a thread that runs a loop it blocks that loop and works; in one that has none it works, too."""
    with Peer(TAKEN, TAKEN) as peer:
        start_process([*_PROGRAM, "loops", peer.url]).wait_for_line("^done$")
    assert len(senders(peer)) == 1
