"""Facts to wait for, instead of sleeping."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hadoken.clock import SYSTEM
from hadoken.testing.leftovers import census
from tests.support.waiting import GLOBAL

F = TypeVar("F")


class TestSignal(Generic[F]):
    """Counts facts as they come and lets a test wait for the nth; give `signal.emit` to whatever tells them.

    Thread: any. The facts stay in the order in which they came.
    """

    __test__ = False  # pytest must not take it for a class of tests

    def __init__(self, name: str = "signal") -> None:
        self.name = name
        # Guards _facts and _listeners. Held while listeners are called, which only wake a loop: so none is called any
        # more once it has been removed, when its loop may be closed.
        self._changed = threading.Condition()
        self._facts: list[F] = []
        self._listeners: list[Callable[[], None]] = []

    def emit(self, fact: F) -> None:
        """Tell one fact; every waiter looks again. Blocks on nothing."""
        with self._changed:
            self._facts.append(fact)
            self._changed.notify_all()
            for listener in self._listeners:
                listener()

    @property
    def facts(self) -> list[F]:
        """A copy of all facts so far, oldest first."""
        with self._changed:
            return list(self._facts)

    def __len__(self) -> int:
        return len(self.facts)

    def wait(self, n: int = 1, timeout: float = GLOBAL) -> list[F]:
        """Block until there are at least `n` facts and return all of them.

        Raises:
            AssertionError: fewer came within `timeout` seconds; holds the facts and the census of threads.
        """
        with self._changed:
            if self._changed.wait_for(lambda: len(self._facts) >= n, timeout):
                return list(self._facts)
        raise AssertionError(self._complaint(n, timeout))

    async def wait_async(self, n: int = 1, timeout: float = GLOBAL) -> list[F]:  # noqa: ASYNC109 -- one time-out for all
        """Do the same as `wait` on a running loop, which goes on meanwhile; facts may come from any thread.

        Raises:
            AssertionError: as `wait` does.
        """
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def listen() -> None:
            loop.call_soon_threadsafe(changed.set)

        end = SYSTEM.lease() + timeout
        with self._changed:
            self._listeners.append(listen)
        try:
            while len(self) < n:
                changed.clear()
                if len(self) < n:
                    await asyncio.wait_for(changed.wait(), end - SYSTEM.lease())
        except TimeoutError:
            raise AssertionError(self._complaint(n, timeout)) from None
        finally:
            with self._changed:
                self._listeners.remove(listen)
        return self.facts

    def require_empty(self) -> None:
        """Assert that no fact has come."""
        assert not self.facts, f"{self.name}: expected no fact, got {self.facts}"

    def _complaint(self, n: int, timeout: float) -> str:
        facts = self.facts
        return f"{self.name}: {len(facts)} of {n} facts within {timeout} s: {facts}\nthreads:\n{census()}"
