"""`python -m tests.support.sender_app CASE URL`: a program that sends under circumstances that are hard on sockets.

Each message is the id of its process, so that whoever receives them knows who sent what.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import hadoken

app = hadoken.App("sender")
queue = app.queue("q", str)


def send(times: int = 1) -> None:
    """Send that many messages, one after the other."""
    for _ in range(times):
        queue.send(str(os.getpid()))


async def asend(times: int = 1) -> None:
    """Send that many messages at once, on the running loop."""
    await asyncio.gather(*[queue.asend(str(os.getpid())) for _ in range(times)])


def in_child(work: Callable[[], object]) -> None:
    """Do something in a child process, and wait for its end."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def fork() -> None:
    """Send before, in and after a child, while another thread of the parent waits for an answer; SIGUSR1 says that."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    send()
    waiting = threading.Thread(target=send)
    waiting.start()
    signal.sigwait([signal.SIGUSR1])
    in_child(lambda: send(2))
    sys.stdout.write("child ended\n")
    waiting.join()
    send()


def preload() -> None:
    """Send in a parent, then in two children of it, then in the parent again."""
    send(2)
    for _ in range(2):
        in_child(lambda: send(2))
    send()


def afork() -> None:
    """Send on a loop, then on one of a child, while the parent's thread lives; then on another of the parent."""
    asyncio.run(asend(2))
    in_child(lambda: asyncio.run(asend(2)))
    asyncio.run(asend(2))


def gevent() -> None:
    """Send from ten greenlets at once."""
    import gevent as library

    library.joinall([library.spawn(send) for _ in range(10)], raise_error=True)


def loops() -> None:
    """Block in a thread that runs a loop, and send in one that has none."""

    async def block() -> None:
        send()

    asyncio.run(block())
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()


if __name__ == "__main__":
    os.environ["HADOKEN_QUEUES__Q"] = f"{sys.argv[2]}000000000000/q"
    app.connect(hadoken.Connection(endpoint_url=sys.argv[2], anonymous=True))
    {case.__name__: case for case in (fork, preload, afork, gevent, loops)}[sys.argv[1]]()
    sys.stdout.write("done\n")
