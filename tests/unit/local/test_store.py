"""The data file: what it refuses, what it costs those who have none, and what it does when it cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hadoken.clock import VirtualClock
from hadoken.errors import ConfigurationError
from hadoken.local.faults import Faults, Rule
from hadoken.local.http import server
from hadoken.local.http.protocol import Reply
from hadoken.local.state import messages, requests
from hadoken.local.state.eventlog import Call, EventLog
from hadoken.local.state.profile import HARSH
from hadoken.local.state.queues import Queues
from hadoken.local.store import Store

URL = "http://127.0.0.1:9324/000000000000/queue"


class Kept:
    """A local SQS with a data file, on a virtual clock."""

    def __init__(self, path: Path, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = Store(path, clock)
        self.queues = Queues(clock=clock, witness=self.store)
        self.store.load(self.queues)

    def create(self, name: str = "queue") -> None:
        """Create a queue."""
        self.queues.create_queue(requests.CreateQueue(queue_name=name), "test")

    def send(self, body: str) -> None:
        """Send a message to the queue `queue`."""
        messages.send_message(self.queues, requests.SendMessage(queue_url=URL, message_body=body), "test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the data file is to be."""
    return tmp_path / "data"


@pytest.fixture
def kept(path: Path) -> Iterator[Kept]:
    """A local SQS with a new data file."""
    made = Kept(path, VirtualClock())
    yield made
    made.store.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query says of a data file that nobody has open."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_a_second_server_is_refused(kept: Kept, path: Path) -> None:
    """The file of a running server is taken by no other, and the sentence says what to do."""
    with pytest.raises(ConfigurationError, match=r"another local SQS has the data file .*end that server"):
        Store(path, kept.clock)
    kept.create()
    kept.store.flush()  # the attempt has not hurt the first
    kept.store.close()
    Store(path, kept.clock).close()


def test_what_is_no_database_is_refused(path: Path) -> None:
    """A text file is left as it is."""
    path.write_text("these are notes of somebody " * 100, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"is not a data file of the local SQS .*another file"):
        Store(path, VirtualClock())
    assert path.read_text(encoding="utf-8").startswith("these are notes")


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    """Tables of others are not written to."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (a)")
    with pytest.raises(ConfigurationError, match=r"is a database of another program .*another file"):
        Store(path, VirtualClock())
    assert rows(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_the_file_of_another_version_is_refused(kept: Kept, path: Path) -> None:
    """A format that this version does not know is named, and what to do."""
    kept.store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigurationError, match=r"its format is 7, and this version reads 1 .*move this one away"):
        Store(path, VirtualClock())


def test_a_damaged_file_is_refused(kept: Kept, path: Path) -> None:
    """A row that says what no server wrote is an error, not half a queue; the file stays as it is."""
    kept.create()
    kept.send("x")
    kept.store.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE messages SET state = 9")
    clock = VirtualClock()
    store = Store(path, clock)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        store.load(Queues(clock=clock, witness=store))
    store.close()
    assert rows(path, "SELECT state FROM messages") == [(9,)]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The sentence says which file cannot be opened."""
    with pytest.raises(ConfigurationError, match=r"missing/data cannot be opened: .*its folder is there"):
        Store(tmp_path / "missing" / "data", VirtualClock())


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    """As `mktemp` makes it."""
    path.touch()
    Kept(path, VirtualClock()).store.close()
    assert rows(path, "SELECT last_queue FROM facts") == [(0,)]


def test_a_message_that_came_and_went_between_two_flushes_is_never_written(kept: Kept, path: Path) -> None:
    """Notes cancel out; the numbers that it took are kept all the same."""
    kept.create()
    kept.send("x")
    kept.queues.named("queue").purge("test")
    kept.store.close()
    assert rows(path, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(path, "SELECT last_message FROM queues") == [(1,)]


def test_sends_that_are_remembered_no_more_leave_the_file(kept: Kept, path: Path) -> None:
    """The table of sends does not grow with what was ever sent."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    kept.queues.create_queue(requests.CreateQueue(queue_name="a.fifo", attributes=attributes), "test")
    url = "http://127.0.0.1:9324/000000000000/a.fifo"
    for number in range(20):
        request = requests.SendMessage(queue_url=url, message_body=str(number), message_group_id="g")
        messages.send_message(kept.queues, request, "test")
        kept.store.flush()
        kept.clock.advance(100)
    kept.store.close()
    ((count,),) = rows(path, "SELECT count(*) FROM sends")
    assert isinstance(count, int)
    assert count <= 6  # those of five minutes, and those since the file was last tidied


def test_what_could_not_be_written_is_written_later(kept: Kept, path: Path) -> None:
    """A failed flush loses no note, and writes all of a transaction or nothing."""
    kept.create()
    kept.store.flush()
    kept.send("x")
    kept.store._database.execute("PRAGMA query_only = 1")
    with pytest.raises(sqlite3.OperationalError):
        kept.store.flush()
    kept.store._database.execute("PRAGMA query_only = 0")
    kept.store.close()
    assert rows(path, "SELECT body FROM messages") == [("x",)]


def test_an_answer_that_is_not_in_the_file_is_an_error(path: Path) -> None:
    """What cannot be written is answered with InternalFailure and the reason, and the server goes on."""

    async def main() -> list[Reply]:
        running = await server.start(data=path)
        replies: list[Reply] = []
        call = lambda: running._call(
            "AmazonSQS.CreateQueue", b'{"QueueName":"a"}', client="t", answer=replies.append, alive=lambda: True
        )
        assert running._store is not None
        running._store._database.execute("PRAGMA query_only = 1")
        call()
        running._store._database.execute("PRAGMA query_only = 0")
        call()
        await running.close()
        return replies

    refused, answered = asyncio.run(main())
    assert (refused.status, refused.query_error) == (500, "InternalFailure;Receiver")
    assert b"The data file cannot be written" in refused.body
    assert answered.status == 200
    assert rows(path, "SELECT name FROM queues") == [("a",)]


def test_an_answer_that_is_not_in_the_file_is_as_the_script_wants_it_and_in_the_event_log(path: Path) -> None:
    """A full disk does not bring an answer that is to be lost, and the log says what was answered."""

    async def main() -> list[Reply]:
        reset = Rule(operation="CreateQueue", answer="reset", applied=True, times=1)
        running = await server.start(data=path, faults=Faults([reset]), log=EventLog(calls=True))
        replies: list[Reply] = []
        assert running._store is not None
        running._store._database.execute("PRAGMA query_only = 1")
        for _ in range(2):
            running._call(
                "AmazonSQS.CreateQueue", b'{"QueueName":"a"}', client="t", answer=replies.append, alive=lambda: True
            )
        running._store._database.execute("PRAGMA query_only = 0")
        calls = [event for event in running.sqs.log.since() if isinstance(event, Call)]
        assert [(call.status, call.code, call.fault) for call in calls] == [
            (0, "", "reset"),
            (500, "InternalFailure", ""),
        ]
        await running.close()
        return replies

    lost, refused = asyncio.run(main())
    assert lost.fault.silent
    assert b"The data file cannot be written" in refused.body


def test_a_port_that_is_taken_gives_the_file_free(path: Path) -> None:
    """A server that cannot listen leaves no lock behind."""

    async def main() -> None:
        first = await server.start()
        with pytest.raises(OSError, match="in use"):
            await server.start(port=first.port, data=path)
        await first.close()

    asyncio.run(main())
    Store(path, VirtualClock()).close()


def test_a_deleted_queue_stays_deleted_whatever_was_to_come(path: Path) -> None:
    """Settings that a harsh profile lets come later do not bring a queue back into the file after its end."""
    clock = VirtualClock()
    with closing(Store(path, clock)) as store:
        queues = Queues(clock=clock, witness=store, profile=HARSH)
        store.load(queues)
        queues.create_queue(requests.CreateQueue(queue_name="queue"), "test")
        queue = queues.named("queue")
        queues.set_queue_attributes(
            requests.SetQueueAttributes(queue_url=URL, attributes={"VisibilityTimeout": "5"}), "test"
        )
        queues.delete_queue(requests.DeleteQueue(queue_url=URL), "test")
        store.flush()
        clock.advance(HARSH.lateness + 1)
        queue.tick(clock.lease())  # as a poll does that is still parked on it
        store.flush()
    assert rows(path, "SELECT name FROM queues") == []
