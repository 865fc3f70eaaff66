"""The demo from beginning to end: a local SQS, the worker in this process, the independent look, the books."""

from __future__ import annotations

import contextlib
import logging
import platform
import shutil
import signal
import tempfile
import textwrap
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import hadoken
from hadoken.clock import Wake
from hadoken.demo.app import app, files, index, slow_files, summaries
from hadoken.demo.books import Line, Outcome, Rows, balance, read_letters, read_rows
from hadoken.demo.index import VARIABLE, default_path
from hadoken.demo.paint import paint
from hadoken.demo.plant import PACKAGE, RECEIVES, Plant, interleaved
from hadoken.demo.progress import Progress
from hadoken.demo.report import books, query, report
from hadoken.demo.source import SKIPPED, SourceFile, listing, standard_library
from hadoken.demo.usage import Threads, rss_mib
from hadoken.demo.walk import walk
from hadoken.errors import ConfigurationError, SQSUnavailable
from hadoken.local.child import ChildServer
from hadoken.local.finding import look_at
from hadoken.local.provision import dead_letter_queue_of, provision

if TYPE_CHECKING:
    from hadoken.worker.snapshot import Snapshot

BALANCED, UNBALANCED, INTERRUPTED = 0, 1, 130
CONCURRENCY: Final = 8
WAIT_TIME: Final = 2  # seconds of a long poll: the demo ends when its last polls do
PATIENCE: Final = 180.0  # seconds for all of the work; on two slow cores it takes fifteen
_NO_LIBRARY: Final = {"__pycache__", "site-packages", "dist-packages"}  # folders nobody would look for in it
_HARD_SPACE: Final = "\N{NO-BREAK SPACE}"  # textwrap does not break there
SAMPLE: Final = 0.05  # seconds between two counts of the threads
LOOK: Final = 5  # samples between two looks at the queues


def demo(
    *, library: Path | None = None, database: Path | None = None, meddle: Callable[[Path], None] | None = None
) -> int:
    """Index a folder of Python files with a worker, plant trouble, and see whether the books balance.

    Args:
        library: the folder; None takes the standard library.
        database: where the index is kept; None takes `default_path`. An index that is there is replaced.
        meddle: called with the database between the work and the books; by it a test shows that the books notice.

    Returns:
        The exit code: 0 they balance, 1 they do not, 130 interrupted.

    Raises:
        ConfigurationError: the database cannot be written.

    Thread: main; blocks for a quarter of a minute.
    """
    root = (library or standard_library()).absolute()
    target = (database or default_path()).absolute()
    log = target.with_suffix(".log")
    _make_folder(target)
    try:
        with tempfile.TemporaryDirectory(prefix="hadoken-demo-") as folder, _log_to(log), _terminable():
            place = Path(folder)
            plant = Plant(place / "plant")
            _introduce(root, plant, log)
            lines, known = _books(root, plant, place / "index.sqlite3", meddle)
            shutil.move(place / "index.sqlite3", target)
    except KeyboardInterrupt:
        print("\ninterrupted: the worker has drained, no index is kept")
        return INTERRUPTED
    print(f"\n{books(lines)}\n\n{query(target, known, usual=target == default_path())}\n")
    balanced = not any(line.differences for line in lines)
    print(
        paint("green", "The books balance.") if balanced else paint("red", "The books do not balance: see FAIL above.")
    )
    return BALANCED if balanced else UNBALANCED


def _books(root: Path, plant: Plant, database: Path, meddle: Callable[[Path], None] | None) -> tuple[list[Line], str]:
    """Do the work, tell of it, and compare it with what an independent look at the files finds.

    Returns:
        The books, and a pattern of names that are in the index.
    """
    memory = rss_mib()
    threads = Threads()
    index.move_to(database)
    try:
        with ChildServer() as sqs:
            done = _work(root, plant, sqs, threads)
    finally:
        index.close()
    at_end = rss_mib()
    if meddle is not None:
        meddle(database)
    outcome = Outcome(
        sent=done.sent,
        snapshot=done.snapshot,
        rows=read_rows(database),
        letters=done.letters,
        walk=walk([root, plant.root]),
        expected=plant.expected,
        left=done.left,
        threads=threads,
        budget=done.budget,
    )
    print(f"\n{report(outcome, done.requests, (memory, done.rss, at_end), done.seconds)}")
    return balance(outcome), _known(outcome.rows, root)


def _known(rows: Rows, root: Path) -> str:
    """A pattern that finds something: in the standard library a good one, else a name of that folder, or anything."""
    if _is_library(root):
        return "JSON*coder"
    found = (name for file, defined in sorted(rows.defined.items()) if not file.startswith(f"{PACKAGE}/")
             for kind, name, _ in defined if kind != "method")  # fmt: skip
    return next(found, "*")


def _is_library(root: Path) -> bool:
    return root == standard_library().absolute()


@dataclass(frozen=True, slots=True)
class _Done:
    """What is known when the worker has ended and the local SQS is still there."""

    sent: Mapping[str, int]
    snapshot: Snapshot
    letters: Mapping[str, str]
    left: int
    requests: Mapping[str, int]
    seconds: float
    budget: int
    rss: float


def _work(root: Path, plant: Plant, sqs: ChildServer, threads: Threads) -> _Done:
    """Make the queues, start the worker in this process, send it the files, wait until the queues are empty."""
    provision(app, sqs.connection, max_receives=RECEIVES)
    run = uuid.uuid4().hex[:8]
    bodies = interleaved(listing(root, run), plant.listing(run))
    plant.take_away()
    worker = hadoken.Worker(app, concurrency=CONCURRENCY, wait_time=WAIT_TIME, connection=sqs.connection)
    budget = sum(worker.plan.budget.values())
    print(f"  threads    {budget}, a number that will not change:\n{textwrap.indent(_budget(worker), ' ' * 13)}")
    with worker:
        rss = rss_mib()
        progress = Progress(len(bodies), index, threads)
        threads.sample()
        # The worker is up before the first message is there, and the client that sends these is made here: it takes a
        # second of a busy machine, which would be a handler's.
        sent = _send(bodies)
        print(f"  sent       {len(bodies):,} messages, one a file, in {progress.seconds:.1f} s\n")
        left = _wait(sqs, threads, progress)
        seconds = progress.seconds
    threads.end()
    counters = look_at(sqs.url, "counters")
    if counters is None:
        raise SQSUnavailable("the local SQS does not answer any more")
    letters = _letters(sqs)
    requests = {name: int(count["requests"]) for name, count in counters.items()}
    entries = int(counters["SendMessageBatch"]["entries"])
    sent[summaries.name] = entries - len(bodies) - len(letters)  # a dead letter is a copy that was sent
    return _Done(sent, worker.snapshot(), letters, left, requests, seconds, budget, rss)


def _send(bodies: Sequence[SourceFile]) -> dict[str, int]:
    """Send one message for each file, slow ones first and to a queue of their own; queue -> how many were sent."""
    slow, usual = ([body for body in bodies if bool(body.pause) is wanted] for wanted in (True, False))
    return {queue.name: len(queue.send_many(some)) for queue, some in ((slow_files, slow), (files, usual))}


def _letters(sqs: ChildServer) -> Mapping[str, str]:
    """File -> reason, of every message in the dead-letter queues of the two queues of files."""
    from hadoken.sqs.boto import BotoClient  # noqa: PLC0415 -- loads botocore

    client = BotoClient(sqs.connection)
    try:
        found = [read_letters(client, dead_letter_queue_of(queue.name)) for queue in (files, slow_files)]
        return found[0] | found[1]
    finally:
        client.close()


def _wait(sqs: ChildServer, threads: Threads, progress: Progress) -> int:
    """Wait until the queues are empty, or for `PATIENCE`; returns how many messages are left in them."""
    pause = Wake()  # never set: its wait is the bounded pause between two samples
    left = 1
    while left and progress.seconds < PATIENCE:
        for _ in range(LOOK):
            threads.sample()
            pause.wait(SAMPLE)
        progress.tell()
        left = _left(sqs)
    progress.tell(last=True)
    return left


def _budget(worker: hadoken.Worker) -> str:
    """The thread budget, wrapped between its members."""
    members = (f"{role} {count}".replace(" ", _HARD_SPACE) for role, count in worker.plan.budget.items())
    return textwrap.fill(" + ".join(members), 66).replace(_HARD_SPACE, " ")


def _left(sqs: ChildServer) -> int:
    """Messages in the app's queues: visible, in flight or delayed; one look at all of them."""
    queues = (look_at(sqs.url, "state") or {"queues": {}})["queues"]
    return sum(sum(queues[queue.name].values()) for queue in (files, slow_files, summaries))


def _introduce(root: Path, plant: Plant, log: Path) -> None:
    skipped = SKIPPED - _NO_LIBRARY if _is_library(root) else SKIPPED
    of = f"of Python {platform.python_version()}, " if _is_library(root) else ""
    without = textwrap.wrap(f"{of}without {', '.join(sorted(skipped))}", 66, break_on_hyphens=False)
    print(f"""\
{paint("bold", f"hadoken {hadoken.__version__} demo")}: each Python file is a message, a worker indexes them
  {"library" if of else "folder":<10} {root}
{textwrap.indent(chr(10).join(without), " " * 13)}
  planted    {plant.words},
             which is the visibility timeout of their queue
  log        {log}""")


def _make_folder(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the index cannot be kept in {database}: {error}", hint=f"name another file by --database or {VARIABLE}"
        ) from error


@contextlib.contextmanager
def _terminable() -> Generator[None]:
    """Let SIGTERM end the demo as Ctrl-C does: with a drain, and without a temporary folder left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _log_to(path: Path) -> Generator[None]:
    """Send the log of hadoken to a file: the planted trouble would fill the terminal with tracebacks."""
    logger = logging.getLogger("hadoken")
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        handler.close()
