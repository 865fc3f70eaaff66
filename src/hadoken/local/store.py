"""The data file: queues and messages kept over restarts, in SQLite.

Rules of this file:
- What was answered is kept: whoever owns the store calls `flush` before an answer goes out. A flush is one transaction
  of all that changed since the last one, and of nothing if nothing did.
- What a flush could not write stays noted, and the next one tries again.
- Times are written as wall time: a lease that ended while no server ran has ended.
- One server has the file. SQLite's exclusive lock says so, and the kernel frees it however that server ends.

No thread is started: SQLite is called on the thread of the loop, for microseconds, because nothing waits for the disk
but a checkpoint now and then. So a kill loses nothing that was answered; a power failure may lose the last moments.
Source: SQLite documentation, write-ahead logging; pragmas synchronous, locking_mode, application_id.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.state.deduplication import INTERVAL, Accepted
from hadoken.local.state.refusals import Refusal
from hadoken.local.state.requests import AttributeValue
from hadoken.local.state.settings import Settings, changed
from hadoken.local.state.stored import State, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hadoken.clock import Clock
    from hadoken.local.state.deduplication import Key
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues

_APPLICATION: Final = 0x6861646F  # "hado": says in the file's head whose it is
_FORMAT: Final = 1  # of the tables below
_BUSY: Final = 1.0  # seconds to wait for a server that is just ending
_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE facts (handle_key INTEGER NOT NULL, last_queue INTEGER NOT NULL);
CREATE TABLE queues (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, attributes BLOB NOT NULL, tags BLOB NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL, last_message INTEGER NOT NULL
);
CREATE TABLE messages (
    queue INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, attributes BLOB NOT NULL,
    trace TEXT NOT NULL, message_group_id TEXT, deduplication_id TEXT, sent_ms INTEGER NOT NULL,
    kept_from REAL NOT NULL, sequence TEXT NOT NULL, source_arn TEXT NOT NULL, count INTEGER NOT NULL,
    first_received_ms INTEGER NOT NULL, received_at REAL NOT NULL, state INTEGER NOT NULL, until REAL,
    PRIMARY KEY (queue, number)
);
CREATE TABLE sends (
    queue INTEGER NOT NULL, message_group_id TEXT, deduplication_id TEXT NOT NULL, id TEXT NOT NULL,
    sequence TEXT NOT NULL, until REAL NOT NULL
);
CREATE INDEX sends_until ON sends (until);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_QUEUE: Final = "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?, ?)"
_ENTER: Final = "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHANGE: Final = (
    "UPDATE messages SET count = ?, first_received_ms = ?, received_at = ?, state = ?, until = ?"
    " WHERE queue = ? AND number = ?"
)
_attributes = msgspec.json.Decoder(dict[str, AttributeValue])
_texts = msgspec.json.Decoder(dict[str, str])

_Place = tuple[int, int]  # number of a queue, number of a message in it


class _Send(NamedTuple):
    """What a FIFO queue remembers of one send; `until` on the lease clock."""

    queue: int
    key: Key
    accepted: Accepted
    until: float


class _Notes:
    """What changed since the last flush."""

    def __init__(self) -> None:
        self.queues: dict[int, Queue] = {}
        self.queues_left: set[int] = set()
        self.entered: dict[_Place, tuple[Queue, Stored]] = {}
        self.changed: dict[_Place, tuple[Queue, Stored]] = {}
        self.left: set[_Place] = set()
        self.sends: list[_Send] = []
        self.forgot: set[int] = set()

    def __bool__(self) -> bool:
        return bool(
            self.changed or self.left or self.entered or self.queues or self.queues_left or self.sends or self.forgot
        )


class Store:
    """One data file: a `Witness` that remembers.

    Args:
        path: of the file; made if it is not there.
        clock: the one of the `Queues`.

    Raises:
        ConfigurationError: the file is no data file of this version, another server has it, or it cannot be opened.

    Thread: that of its `Queues`; blocks for a transaction in `flush` and `load`.
    """

    def __init__(self, path: str | Path, clock: Clock) -> None:
        self._path = str(path)
        self._clock = clock
        self._notes = _Notes()
        self._tidied = clock.lease()
        self._database = _open(self._path)

    # What the queues tell.

    def entered(self, queue: Queue, message: Stored) -> None:
        """Note a message to be written whole."""
        self._notes.queues[queue.number] = queue  # its last number
        self._notes.entered[queue.number, message.number] = (queue, message)

    def changed(self, queue: Queue, message: Stored) -> None:
        """Note a message whose life went on."""
        place = (queue.number, message.number)
        if place not in self._notes.entered:
            self._notes.changed[place] = (queue, message)

    def left(self, queue: Queue, message: Stored) -> None:
        """Note a message to be dropped."""
        place = (queue.number, message.number)
        self._notes.entered.pop(place, None)
        self._notes.changed.pop(place, None)
        self._notes.left.add(place)

    def remembered(self, queue: Queue, key: Key, accepted: Accepted) -> None:
        """Note a send."""
        self._notes.sends.append(_Send(queue.number, key, accepted, self._clock.lease() + INTERVAL))

    def forgot(self, queue: Queue) -> None:
        """Note that the sends of a queue are to be dropped, those not written yet too."""
        self._notes.sends = [one for one in self._notes.sends if one.queue != queue.number]
        self._notes.forgot.add(queue.number)

    def queue_changed(self, queue: Queue) -> None:
        """Note a queue to be written."""
        self._notes.queues[queue.number] = queue

    def queue_left(self, queue: Queue) -> None:
        """Note a queue to be dropped."""
        self.forgot(queue)
        self._notes.queues.pop(queue.number, None)
        self._notes.queues_left.add(queue.number)

    # What its owner calls.

    def flush(self) -> None:
        """Write what changed since the last flush.

        Raises:
            sqlite3.Error: it could not be written; it stays noted.
        """
        if self._notes:
            with self._database:
                self._write(self._notes, self._clock.wall() - self._clock.lease())
            self._notes = _Notes()

    def load(self, queues: Queues) -> None:
        """Put back what the file holds, into `Queues` that hold nothing yet.

        Raises:
            ConfigurationError: the file is damaged.
        """
        try:
            self._load(queues, self._clock.wall() - self._clock.lease())
        except (sqlite3.Error, msgspec.MsgspecError, Refusal, ValueError, KeyError) as error:
            raise ConfigurationError(f"the data file {self._path} cannot be read: {error}", hint=_ANOTHER) from error
        finally:
            self._notes = _Notes()  # what was put back is no news; half of it, should it fail, even less

    def close(self) -> None:
        """Write what is left and give the file free; a second call does nothing.

        Raises:
            sqlite3.Error: it could not be written.
        """
        with closing(self._database):
            self.flush()

    def _write(self, notes: _Notes, offset: float) -> None:
        """Write notes; `offset` is what wall time is ahead of the lease clock."""
        run = self._database.execute
        many = self._database.executemany
        if notes.left:
            many("DELETE FROM messages WHERE queue = ? AND number = ?", notes.left)
        if notes.entered:
            many(_ENTER, [_row(queue, message, offset) for queue, message in notes.entered.values()])
        if notes.changed:
            rows = [(*_life(queue, message, offset), *place) for place, (queue, message) in notes.changed.items()]
            many(_CHANGE, rows)
        for number in notes.forgot:
            run("DELETE FROM sends WHERE queue = ?", (number,))
        if notes.sends:
            many("INSERT INTO sends VALUES (?, ?, ?, ?, ?, ?)", [_send_row(one, offset) for one in notes.sends])
            self._tidy(offset)
        for number in notes.queues_left:
            run("DELETE FROM queues WHERE number = ?", (number,))
        if notes.queues:
            many(_QUEUE, [_queue_row(queue) for queue in notes.queues.values()])
            run("UPDATE facts SET last_queue = max(last_queue, ?)", (max(notes.queues),))

    def _tidy(self, offset: float) -> None:
        """Drop sends that are remembered no more, now and then: as often as one is."""
        now = self._clock.lease()
        if now >= self._tidied + INTERVAL:
            self._tidied = now
            self._database.execute("DELETE FROM sends WHERE until <= ?", (now + offset,))

    def _load(self, queues: Queues, offset: float) -> None:
        run = self._database.execute
        facts = run("SELECT handle_key, last_queue FROM facts").fetchone()
        if facts is None:
            with self._database:
                run("INSERT INTO facts VALUES (?, 0)", (queues.handles.key,))
            return
        queues.handles.key = facts[0]
        by_number: dict[int, Queue] = {}
        for number, name, attributes, tags, created, modified, last in run("SELECT * FROM queues ORDER BY number"):
            queue = by_number[number] = queues.restore(number, name, _settings(attributes))
            queue.tags = _texts.decode(tags)
            queue.created, queue.modified, queue.last_number = created, modified, last
        queues.last_number = facts[1]
        for row in run("SELECT * FROM messages ORDER BY queue, number"):
            message, until = _message(row, offset)
            by_number[row[0]].restore(message, until)
        sends = run("SELECT * FROM sends WHERE until > ? ORDER BY until, rowid", (self._clock.wall(),))
        _restore_sends(sends, by_number, offset)


_ANOTHER: Final = "pass the path of another file, or move this one away: a new one is made"


def _open(path: str) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, timeout=_BUSY)
    except sqlite3.Error as error:
        hint = "see that its folder is there and can be written"
        raise ConfigurationError(f"the data file {path} cannot be opened: {error}", hint=hint) from error
    try:
        _prepare(database, path)
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, error) from error
    except ConfigurationError:
        database.close()
        raise
    return database


def _unusable(path: str, error: sqlite3.Error) -> ConfigurationError:
    kind = getattr(error, "sqlite_errorname", "")  # what Python itself complains of has none
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        hint = "end that server, or pass another file"
        return ConfigurationError(f"another local SQS has the data file {path}", hint=hint)
    if kind.startswith("SQLITE_NOTADB"):
        return ConfigurationError(f"{path} is not a data file of the local SQS", hint=_ANOTHER)
    return ConfigurationError(f"{path} cannot be used as a data file: {error}", hint=_ANOTHER)


def _prepare(database: sqlite3.Connection, path: str) -> None:
    """Take the file for ourselves, and make its tables if it is new."""
    run = database.execute
    run("PRAGMA locking_mode = EXCLUSIVE")  # before WAL, which then needs no shared memory beside the file
    (application,), (version,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
    tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION and (tables or application or version):
        raise ConfigurationError(f"{path} is a database of another program", hint=_ANOTHER)
    if application == _APPLICATION and version != _FORMAT:
        text = f"{path} was written by another version: its format is {version}, and this version reads {_FORMAT}"
        raise ConfigurationError(text, hint=_ANOTHER)
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")
    if not tables:
        database.executescript(_SCHEMA)


def _queue_row(queue: Queue) -> tuple[Any, ...]:
    attributes, tags = msgspec.json.encode(queue.configured.attributes()), msgspec.json.encode(queue.tags)
    return queue.number, queue.name, attributes, tags, queue.created, queue.modified, queue.last_number


def _settings(attributes: bytes) -> Settings:
    """The settings of a queue as they were written: SQS's strings."""
    texts = _texts.decode(attributes)
    fifo = texts.pop("FifoQueue", "") == "true"
    return changed(Settings(fifo=fifo), texts, lambda _arn: True)  # a dead-letter queue may be gone, as in memory


def _row(queue: Queue, message: Stored, offset: float) -> tuple[Any, ...]:
    return (
        queue.number,
        message.number,
        message.id,
        message.body,
        msgspec.json.encode(message.attributes),
        message.trace,
        message.message_group_id,
        message.deduplication_id,
        message.sent_ms,
        message.kept_from + offset,
        message.sequence,
        message.source_arn,
        *_life(queue, message, offset),
    )


def _life(queue: Queue, message: Stored, offset: float) -> tuple[Any, ...]:
    """What changes: receives, and state with its end."""
    until = queue.until(message)
    received = message.received_at + offset if message.count else 0.0
    return (
        message.count,
        message.first_received_ms,
        received,
        int(message.state),
        None if until is None else until + offset,
    )


def _message(row: tuple[Any, ...], offset: float) -> tuple[Stored, float | None]:
    """A message as it was written, and when its lease or delay ends."""
    (_, number, id_, body, attributes, trace, message_group_id, deduplication_id, sent_ms, *rest) = row
    (kept_from, sequence, source_arn, count, first_received_ms, received_at, state, until) = rest
    message = Stored(
        id=id_,
        body=body,
        attributes=_attributes.decode(attributes),
        trace=trace,
        message_group_id=message_group_id,
        deduplication_id=deduplication_id,
    )
    message.number, message.sent_ms, message.sequence, message.source_arn = number, sent_ms, sequence, source_arn
    message.kept_from, message.count, message.first_received_ms = kept_from - offset, count, first_received_ms
    message.received_at = received_at - offset if count else 0.0
    message.state = State(state)
    return message, None if until is None else until - offset


def _send_row(send: _Send, offset: float) -> tuple[Any, ...]:
    group, own = (None, send.key) if isinstance(send.key, str) else send.key
    return send.queue, group, own, send.accepted.id, send.accepted.sequence, send.until + offset


def _restore_sends(rows: Iterator[tuple[Any, ...]], by_number: dict[int, Queue], offset: float) -> None:
    for number, group, own, id_, sequence, until in rows:
        key = own if group is None else (group, own)
        by_number[number].deduplication.remember(key, Accepted(id_, sequence), until - offset - INTERVAL)
