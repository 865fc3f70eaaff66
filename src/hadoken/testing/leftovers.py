"""What a test can leave behind in its process, and how to tell it from what was there before.

Rules of this file:
- Everything is read from outside where the system allows it: threads, descriptors and children come from /proc, so that
  a thread or socket that no Python object names any more is seen too.
- Reading changes nothing and starts nothing.
- Where there is no /proc, threads are those that Python knows, and descriptors and children are not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from hadoken.threads import spawn

# Opened once and kept by the interpreter or a library, at the first use of randomness or of a bit bucket.
KEPT_OPEN: Final = frozenset({"/dev/urandom", "/dev/random", "/dev/null"})
# Those whose handlers hadoken or a test may set; SIGALRM belongs to pytest-timeout.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)

# What multiprocessing starts at its first use and keeps: (module, its object, names of the process id and of the pipe's
# descriptor there). It has no public way to ask for either that would not start the process.
_HELPERS: Final = (
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid", "_fd"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid", "_forkserver_alive_fd"),
)
_PROC: Final = Path("/proc/self")
_NOT_THE_CALLER: Final = frozenset({__file__, spawn.__file__, threading.__file__})

_loops: weakref.WeakSet[asyncio.BaseEventLoop] = weakref.WeakSet()
_births: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def remember_births() -> Callable[[], None]:
    """Note every event loop made and every thread started from now on, with the place; returns what ends the noting.

    Wraps the standard library's own constructors, because neither asyncio nor threading can say afterwards where a loop
    or a thread came from.
    """
    make: Callable[[asyncio.BaseEventLoop], None] = asyncio.BaseEventLoop.__init__

    def remembering_init(self: asyncio.BaseEventLoop) -> None:
        make(self)
        _loops.add(self)

    def forget() -> None:
        asyncio.BaseEventLoop.__init__ = make  # type: ignore[assignment] # puts back what was there
        stop_noting()

    asyncio.BaseEventLoop.__init__ = remembering_init  # type: ignore[assignment] # see the docstring
    stop_noting = spawn.on_start(lambda thread: _births.__setitem__(thread, call_site()))
    return forget


@functools.cache
def open_for_good() -> None:
    """Open what a library keeps open from its first use on: libuv, below uvloop, has a pipe for all loops of a process.

    Else the first test whose worker runs on uvloop would seem to leave it behind.
    """
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 -- optional

        uvloop.new_event_loop().close()


def call_site() -> str:
    """The nearest caller outside this file and threading, as "file:line"."""
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- names the caller
    while frame.f_back is not None and frame.f_code.co_filename in _NOT_THE_CALLER:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def os_threads(pid: int | str = "self") -> dict[int, str]:
    """Kernel thread id -> kernel name (at most 15 bytes) of every thread of a process; empty if it has ended."""
    found: dict[int, str] = {}
    if pid == "self" and not _PROC.exists():
        return {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    try:
        entries = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return {}
    for entry in entries:
        try:
            found[int(entry.name)] = (entry / "comm").read_text().rstrip("\n")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended between the two looks
    return found


def descriptors() -> dict[int, str]:
    """Open descriptor -> what it is, such as "socket:[1234]" or a path, without those that are meant to stay open."""
    found: dict[int, str] = {}
    kept = {fd for _, fd in _helpers()}
    for entry in (_PROC / "fd").iterdir() if _PROC.exists() else ():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # the descriptor that listed the folder
        if target not in KEPT_OPEN and int(entry.name) not in kept:
            found[int(entry.name)] = target
    return found


def children(pid: int | None = None) -> dict[int, str]:
    """Process id -> command line of every child of a process (ours by default); a zombie's is "" as it has none.

    The helpers that `multiprocessing` keeps in ours are left out.
    """
    parent = os.getpid() if pid is None else pid
    kept = {child for child, _ in _helpers()}
    return {
        child: command_line(child) for child, (ppid, _) in processes().items() if ppid == parent and child not in kept
    }


def _helpers() -> Iterator[tuple[int | None, int | None]]:
    """Process id and descriptor of each helper that `multiprocessing` has started; None for one that it has not."""
    for module, name, pid, descriptor in _HELPERS:
        helper = getattr(sys.modules.get(module), name, None)
        yield getattr(helper, pid, None), getattr(helper, descriptor, None)


def processes() -> dict[int, tuple[int, int]]:
    """Process id -> (parent's id, process group) of every process of the machine."""
    found: dict[int, tuple[int, int]] = {}
    for entry in _PROC.parent.iterdir() if _PROC.exists() else ():
        if not entry.name.isdigit():
            continue
        try:
            # "pid (name) state ppid pgrp ...": the name may hold spaces and brackets, so look behind its last one.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(entry.name)] = (int(fields[1]), int(fields[2]))
    return found


def command_line(pid: int) -> str:
    """The words a process was started with; "" for a zombie or one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pending_tasks() -> dict[int, asyncio.Task[Any]]:
    """id() -> every asyncio task that is not done, of all loops that are alive, closed ones included."""
    return {id(task): task for loop in list(_loops) for task in asyncio.all_tasks(loop)}


def pending_timers() -> dict[int, asyncio.TimerHandle]:
    """id() -> every timer that is still to fire on a loop that is not closed."""
    timers = (timer for loop in list(_loops) if not loop.is_closed() for timer in list(scheduled(loop)))
    return {id(timer): timer for timer in timers if not timer.cancelled()}


def scheduled(loop: asyncio.BaseEventLoop) -> list[asyncio.TimerHandle]:
    """The heap of timers of a loop; asyncio has no public way to ask for it."""
    heap: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    return heap


def live_messages() -> dict[int, object]:
    """id() -> every `hadoken.message.Message` that is alive.

    Only what was made since the tests were collected is looked at: see `leak_check.LeakCheck.pytest_collection_finish`.
    """
    module = sys.modules.get("hadoken.message")
    if module is None:
        return {}
    return {id(thing): thing for thing in gc.get_objects() if type(thing) is module.Message}


def signal_handlers() -> dict[int, str]:
    """Signal number -> what handles it now."""
    return {number: repr(signal.getsignal(number)) for number in SIGNALS}


def environment() -> dict[str, str]:
    """The environment, without what pytest itself writes for each phase of a test."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@dataclass(slots=True)
class Snapshot:
    """Everything that is alive at one moment: each map leads from an identity to what there is to say."""

    threads: Mapping[int, str] = field(default_factory=os_threads)
    descriptors: Mapping[int, str] = field(default_factory=descriptors)
    children: Mapping[int, str] = field(default_factory=children)
    tasks: Mapping[int, asyncio.Task[Any]] = field(default_factory=pending_tasks)
    timers: Mapping[int, asyncio.TimerHandle] = field(default_factory=pending_timers)
    messages: Mapping[int, object] = field(default_factory=dict)
    signals: Mapping[int, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_everything(cls) -> Self:
        """One that holds messages, signal handlers and environment variables too."""
        return cls(messages=live_messages(), signals=signal_handlers(), environment=environment())

    def since(self, before: Snapshot) -> list[str]:
        """One line for each thing that is here and was not there before, the most telling kinds first."""
        return [
            *(describe_thread(tid, self.threads[tid]) for tid in self.threads.keys() - before.threads.keys()),
            *(f"task {self.tasks[key]!r}" for key in self.tasks.keys() - before.tasks.keys()),
            *(f"timer {self.timers[key]!r}" for key in self.timers.keys() - before.timers.keys()),
            *(f"child process {pid}: {self.children[pid]}" for pid in self.children.keys() - before.children.keys()),
            *(f"descriptor {fd}: {what}" for fd, what in self.descriptors.items() - before.descriptors.items()),
            *(f"message {self.messages[key]!r}" for key in self.messages.keys() - before.messages.keys()),
            *(f"signal handler {number}: {what}" for number, what in self.signals.items() - before.signals.items()),
            *(
                f"environment variable {name}: {before.environment.get(name)!r} became {self.environment.get(name)!r}"
                for name in sorted(self.environment.keys() | before.environment.keys())
                if self.environment.get(name) != before.environment.get(name)
            ),
        ]


def describe_thread(tid: int, kernel_name: str) -> str:
    """Name a thread, say where it was started and where it is now."""
    thread = next((thread for thread in threading.enumerate() if thread.native_id == tid), None)
    if thread is None:
        return f"thread {tid} {kernel_name!r}: not started by Python's threading"
    born = _births.get(thread, "an unknown place")
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- no other way
    now = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})" if frame else "an unknown place"
    return f"thread {thread.name!r} (kernel name {kernel_name!r}), started at {born}, now at {now}"


def census() -> str:
    """Every thread of this process, one a line: what a test that waited in vain prints."""
    return "\n".join(f"  {describe_thread(tid, name)}" for tid, name in sorted(os_threads().items()))
