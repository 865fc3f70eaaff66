"""The one place where threads are born.

Rules of this file:
- No other file starts a thread; lint and a test of the whole tree see to it.
- A thread is started only within the budget, which is computed before the first one (I5).
- Each has a name, a kernel name of at most 15 bytes that `ps -L` and `top -H` show, and a recorded birth.
- An exception that leaves a thread's body is reported with its traceback, and whoever depends on it is told.
- They are daemon threads: a handler that hangs for ever must not keep the process from ending at its deadline.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hadoken.clock import SYSTEM
from hadoken.errors import ThreadBudgetExceeded

log = logging.getLogger("hadoken.threads")

_PR_SET_NAME = 15  # prctl(2)
KERNEL_NAME_BYTES = 15  # TASK_COMM_LEN less the closing zero


@dataclass(frozen=True, slots=True)
class Birth:
    """A thread of ours.

    Attributes:
        role: the line of the budget it counts for.
        site: "file:line" of the caller that started it.
        at: lease clock at its start.
    """

    name: str
    role: str
    site: str
    at: float
    thread: threading.Thread


class Threads:
    """The threads of one worker.

    Args:
        budget: role -> how many threads of it there may be at once. The thread that starts the worker is not ours to
            start: it is the budget's line "main" and is never spawned.
        on_death: called with a thread's name when an exception left its body, in that thread.

    Thread: the one that starts the worker; reports may read from any.
    """

    def __init__(self, budget: Mapping[str, int], *, on_death: Callable[[str], None] = lambda _: None) -> None:
        self.budget = dict(budget)
        self._births: list[Birth] = []
        self._on_death = on_death

    @property
    def total(self) -> int:
        """The thread budget: how many threads there are in all while the worker runs."""
        return sum(self.budget.values())

    def spawn(self, name: str, body: Callable[[], None], *, role: str, kernel_name: str = "") -> threading.Thread:
        """Start a thread.

        Args:
            name: its Python name.
            body: what it runs; should return when its owner stops it.
            role: a line of the budget.
            kernel_name: what `ps -L` shows, cut at 15 bytes; the name with `hd-` for `hadoken-` if left out.

        Raises:
            ThreadBudgetExceeded: the budget of the role is used up.
        """
        self._check(role, name)
        kernel = (kernel_name or name.replace("hadoken-", "hd-"))[:KERNEL_NAME_BYTES]
        thread = threading.Thread(target=self._live, args=(name, kernel, body), name=name, daemon=True)
        caller = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- names the caller
        site = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._births.append(Birth(name, role, site, SYSTEM.lease(), thread))
        thread.start()
        return thread

    def alive(self) -> list[Birth]:
        """Those of our threads that have not ended, in the order of their birth."""
        return [birth for birth in self._births if birth.thread.is_alive()]

    def join(self, timeout: float) -> list[Birth]:
        """Wait up to `timeout` seconds in all for our threads to end; returns those that have not."""
        deadline = SYSTEM.lease() + timeout
        for birth in self.alive():
            if birth.thread is not threading.current_thread():
                birth.thread.join(max(0.0, deadline - SYSTEM.lease()))
        return self.alive()

    def _check(self, role: str, name: str) -> None:
        alive = self.alive()
        if sum(birth.role == role for birth in alive) < self.budget.get(role, 0):
            return
        raise ThreadBudgetExceeded(
            f"thread {name} would be one more of {role!r} than the budget of {self.budget.get(role, 0)}",
            census=[birth.name for birth in alive],
            births=[f"{birth.name}: {birth.site}" for birth in alive],
            hint="this is a bug of hadoken; please report it with this text",
        )

    def _live(self, name: str, kernel_name: str, body: Callable[[], None]) -> None:
        set_kernel_name(kernel_name)
        try:
            body()
        except BaseException:
            log.critical("thread %s died", name, exc_info=True)
            self._on_death(name)


def on_start(note: Callable[[threading.Thread], object]) -> Callable[[], None]:
    """Tell of every thread that any code of this process starts from now on; returns what ends the telling.

    For tests: it wraps the standard library's own method, because threading cannot say afterwards where a thread came
    from.

    Args:
        note: called in the starting thread, just before the start; must not raise.
    """
    start = threading.Thread.start

    def telling_start(self: threading.Thread) -> None:
        note(self)
        start(self)

    def stop() -> None:
        threading.Thread.start = start  # type: ignore[method-assign] # puts back what was there

    threading.Thread.start = telling_start  # type: ignore[method-assign] # see the docstring
    return stop


def set_kernel_name(name: str) -> None:
    """Name the calling thread in the kernel; does nothing where there is no prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:KERNEL_NAME_BYTES], 0, 0, 0)
