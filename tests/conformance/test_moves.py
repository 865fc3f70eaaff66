from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.local_sqs import Sqs
from tests.support.refused import PREFIX, invalid, missing, refused

# None of them has move tasks.
pytestmark = pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "StartMessageMoveTask: starts an asynchronous task to move messages from a specified source queue to "
        "a specified destination queue."
    ),
)
NO_QUEUE = PREFIX + "NonExistentQueue"


def dead_letters(sqs: Sqs, *bodies: str, fifo: bool = False, target: str = "", **options: Any) -> tuple[str, str]:
    """A queue and its dead-letter queue, into which bodies went by the way of dead letters."""
    target = target or sqs.queue(fifo=fifo)
    policy = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": 1}
    url = sqs.queue({"RedrivePolicy": policy, "VisibilityTimeout": "0"}, fifo=fifo)
    sqs.send(url, *bodies, **({"MessageGroupId": "g"} if fifo else {}), **options)
    for _ in range(len(bodies) + 1):
        sqs.receive(url, 10)
    assert sqs.counts(url) == (0, 0, 0)
    return url, target


def start(sqs: Sqs, source: str, target: str = "", rate: int | None = None) -> str:
    """Start a task from one queue to another, or back; gives back its handle."""
    options: dict[str, object] = {"DestinationArn": sqs.arn(target)} if target else {}
    if rate is not None:
        options["MaxNumberOfMessagesPerSecond"] = rate
    return str(sqs.client.start_message_move_task(SourceArn=sqs.arn(source), **options)["TaskHandle"])


def tasks(sqs: Sqs, source: str, most: int = 10) -> list[dict[str, Any]]:
    """The latest tasks of a source, newest first."""
    answer = sqs.client.list_message_move_tasks(SourceArn=sqs.arn(source), MaxResults=most)
    found: list[dict[str, Any]] = answer.get("Results", [])
    return found


def test_58_back_to_where_they_came_from_as_new_messages(sqs: Sqs) -> None:
    """By default messages go back to the queues they came from, each to its own, as new messages."""
    attributes = {"a": {"DataType": "String", "StringValue": "1"}}
    url, source = dead_letters(sqs, "a", "b", MessageAttributes=attributes)
    other, _ = dead_letters(sqs, "c", target=source)
    dead = sqs.receive(source, VisibilityTimeout=0)
    sent_last = max(int(message["Attributes"]["SentTimestamp"]) for message in dead)
    sqs.advance(1)
    handle = start(sqs, source)
    (running,) = tasks(sqs, source)
    assert (running["Status"], running["TaskHandle"]) == ("RUNNING", handle)
    sqs.advance(1)
    assert sqs.counts(source) == (0, 0, 0)
    back = sqs.receive(url) + sqs.receive(other)
    assert [message["Body"] for message in back] == ["a", "b", "c"]
    assert [message.get("MessageAttributes") for message in back] == [attributes, attributes, None]
    for message in back:
        assert message["MessageId"] not in {one["MessageId"] for one in dead}
        assert int(message["Attributes"]["SentTimestamp"]) > sent_last
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        assert "DeadLetterQueueSourceArn" not in message["Attributes"]
    (task,) = tasks(sqs, source)
    started = task.pop("StartedTimestamp")
    assert started > 0
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": sqs.arn(source),
        "ApproximateNumberOfMessagesMoved": 3,
        "ApproximateNumberOfMessagesToMove": 3,
    }


@pytest.mark.ours
def test_58_the_log_tells_both_lives_of_a_moved_message(sqs: Sqs) -> None:
    """The log tells both lives of a moved message; retention counts anew."""
    url, source = dead_letters(sqs, "a")
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    sqs.advance(50)
    start(sqs, source, rate=1)
    sqs.advance(1)
    moved = sqs.events(source)[-1]
    (sent,) = [event for event in sqs.events(url) if event.get("client") == "move task"]
    assert (moved["what"], moved["target"]) == ("moved", url.rpartition("/")[2])
    assert sent["what"] == "sent"
    assert moved["id"] != sent["id"]
    sqs.advance(59)
    assert sqs.counts(url) == (1, 0, 0)
    sqs.advance(1)
    assert sqs.counts(url) == (0, 0, 0)


def test_58_to_a_destination_at_a_rate(sqs: Sqs) -> None:
    """To a destination messages go at the rate that was asked for, and a moved one is there at once."""
    _, source = dead_letters(sqs, *"abcd")
    target = sqs.queue()
    begun = sqs.now()
    start(sqs, source, target, rate=1)
    taken = []
    for number in range(1, 5):
        taken += sqs.bodies(target, WaitTimeSeconds=20)
        assert 0 <= sqs.now() - begun - number < 0.001 + sqs.slack
        assert len(taken) == number
    assert taken == list("abcd")
    (task,) = tasks(sqs, source)
    assert task["Status"] == "COMPLETED"
    assert task["MaxNumberOfMessagesPerSecond"] == 1
    assert task["DestinationArn"] == sqs.arn(target)
    assert "TaskHandle" not in task


def test_58_a_fast_task_moves_five_hundred_a_second(sqs: Sqs) -> None:
    """A fast task moves as many a second as it may, in order."""
    _, source = dead_letters(sqs)
    target = sqs.queue()
    sqs.send(source, *(str(number) for number in range(20)))
    start(sqs, source, target, rate=500)
    sqs.advance(0.021)
    assert (sqs.counts(source), sqs.counts(target)) == ((10, 0, 0), (10, 0, 0))
    sqs.advance(0.02)
    assert sqs.bodies(target) == [str(number) for number in range(10)]
    assert tasks(sqs, source)[0]["Status"] == "COMPLETED"


def test_58_what_is_in_flight_or_delayed_stays(sqs: Sqs) -> None:
    """What is in flight or delayed stays where it is, and an empty source is done at once."""
    url, source = dead_letters(sqs, "a", "b")
    assert sqs.bodies(source, 1, VisibilityTimeout=600) == ["a"]
    sqs.send(source, "later", DelaySeconds=600)
    for moved in (1, 0):
        start(sqs, source, url)
        sqs.advance(1)
        assert tasks(sqs, source)[0]["Status"] == "COMPLETED"
        assert tasks(sqs, source)[0]["ApproximateNumberOfMessagesToMove"] == moved
        assert sqs.counts(source) == (0, 1, 1)
    assert [task["ApproximateNumberOfMessagesMoved"] for task in tasks(sqs, source)] == [0, 1]


def test_58_a_cancelled_task_keeps_what_it_moved(sqs: Sqs) -> None:
    """A cancelled task keeps what it moved, ends a moment later, and lets another one start."""
    url, source = dead_letters(sqs, *"abcde")
    handle = start(sqs, source, rate=1)
    sqs.advance(2.5)
    assert sqs.client.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] == 2
    (task,) = tasks(sqs, source)
    assert task["Status"] == "CANCELLING"
    assert "TaskHandle" not in task
    with invalid("There is already a task running"):
        start(sqs, source)
    with refused("ResourceNotFoundException", words="Task does not exist.", status=404):
        sqs.client.cancel_message_move_task(TaskHandle=handle)
    sqs.advance(1)
    (task,) = tasks(sqs, source)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("CANCELLED", 2)
    assert task["ApproximateNumberOfMessagesToMove"] == 5
    sqs.advance(5)
    assert (sqs.counts(source), sqs.counts(url)) == ((3, 0, 0), (2, 0, 0))
    start(sqs, source)
    sqs.advance(1)
    assert [task["Status"] for task in tasks(sqs, source)] == ["COMPLETED", "CANCELLED"]


def test_58_a_message_of_no_queue_fails_the_task_without_a_destination(sqs: Sqs) -> None:
    """A message that was sent to the dead-letter queue directly fails the task, unless it names a destination."""
    url, source = dead_letters(sqs, "a")
    sqs.send(source, "direct", "behind")
    start(sqs, source)
    sqs.advance(1)
    (task,) = tasks(sqs, source)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert task["ApproximateNumberOfMessagesMoved"] == 1
    assert (sqs.counts(url), sqs.counts(source)) == ((1, 0, 0), (2, 0, 0))
    start(sqs, source, url)
    sqs.advance(1)
    assert tasks(sqs, source)[0]["Status"] == "COMPLETED"
    assert sqs.counts(url) == (3, 0, 0)


def test_58_a_source_that_is_gone_fails_the_task(sqs: Sqs) -> None:
    """A queue that is gone cannot get its message back."""
    gone, source = dead_letters(sqs, "a")
    dead_letters(sqs, target=source)
    sqs.client.delete_queue(QueueUrl=gone)
    start(sqs, source)
    sqs.advance(1)
    (task,) = tasks(sqs, source)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", NO_QUEUE)
    assert sqs.bodies(source) == ["a"]


def test_58_fifo_order_is_kept_and_nothing_is_taken_for_a_repeat(sqs: Sqs) -> None:
    """On FIFO queues the order of a message group is kept, and nothing that comes back is taken for a repeat."""
    url, source = dead_letters(sqs, *"abcd", fifo=True)
    assert sqs.bodies(source, VisibilityTimeout=0) == list("abcd")
    start(sqs, source)
    sqs.advance(1)
    back = sqs.receive(url, VisibilityTimeout=30)
    assert [message["Body"] for message in back] == list("abcd")
    assert {message["Attributes"]["MessageGroupId"] for message in back} == {"g"}
    sequence = [message["Attributes"]["SequenceNumber"] for message in back]
    assert sequence == sorted(sequence)
    assert tasks(sqs, source)[0]["ApproximateNumberOfMessagesMoved"] == 4


def test_58_fifo_a_head_in_flight_keeps_its_message_group_there(sqs: Sqs) -> None:
    """On FIFO queues a head in flight keeps its message group where it is; others go."""
    url, source = dead_letters(sqs, "a", "b", fifo=True)
    sqs.send(source, "other", MessageGroupId="h")
    assert sqs.bodies(source, 1, VisibilityTimeout=600) == ["a"]
    start(sqs, source, url)
    sqs.advance(1)
    assert sqs.bodies(url) == ["other"]
    assert tasks(sqs, source)[0]["Status"] == "COMPLETED"


def test_58_what_cannot_be_started_is_refused(sqs: Sqs) -> None:
    """What cannot be started is refused, with SQS's words, and no task is listed."""
    url, source = dead_letters(sqs, "a")
    arn, plain = sqs.arn(source), sqs.queue()
    begin = sqs.client.start_message_move_task
    with invalid("Source queue must be configured as a Dead Letter Queue."):
        begin(SourceArn=sqs.arn(plain), DestinationArn=sqs.arn(url))
    with invalid("Source queue must be configured as a Dead Letter Queue."):
        begin(SourceArn=sqs.arn(url))
    for name, options in (("SourceArn", {"SourceArn": arn + "x"}), ("DestinationArn", {"DestinationArn": arn + "x"})):
        words = f"The resource that you specified for the {name} parameter doesn't exist."
        with refused("ResourceNotFoundException", words=words, status=404):
            begin(**{"SourceArn": arn, **options})
    for bad in (source, "x", "arn:aws:sqs"):
        with invalid("SourceArn"):
            begin(SourceArn=bad)
    with invalid("DestinationArn"):
        begin(SourceArn=arn, DestinationArn=url)
    for rate in (0, -1, 501):
        with invalid("MaxNumberOfMessagesPerSecond"):
            begin(SourceArn=arn, MaxNumberOfMessagesPerSecond=rate)
    with missing("SourceArn"):
        begin(DestinationArn=sqs.arn(url))
    with invalid("source"):
        begin(SourceArn=arn, DestinationArn=arn)
    with invalid("type"):
        begin(SourceArn=arn, DestinationArn=sqs.arn(sqs.queue(fifo=True)))
    assert tasks(sqs, source) == []
    assert sqs.counts(source) == (1, 0, 0)


def test_58_one_task_of_a_source_runs_at_a_time(sqs: Sqs) -> None:
    """One task of a source runs at a time; those of other sources do not mind."""
    _, source = dead_letters(sqs, "a", "b")
    url, other = dead_letters(sqs, "c")
    start(sqs, source, rate=1)
    with invalid("Only one active task is allowed for a source queue arn at a given time."):
        start(sqs, source, url)
    start(sqs, other, rate=1)
    sqs.advance(1)
    assert sqs.bodies(url) == ["c"]
    assert len(tasks(sqs, source)) == len(tasks(sqs, other)) == 1


@pytest.mark.parametrize("handle", ["foobared", "{}", "ä", base64.b64encode(b"{}").decode(), "AAAA"])
def test_58_a_handle_that_is_none_is_refused(sqs: Sqs, handle: str) -> None:
    """A handle that is none is refused."""
    with invalid("Value for parameter TaskHandle is invalid."):
        sqs.client.cancel_message_move_task(TaskHandle=handle)


def test_58_a_handle_names_a_source_and_a_task_that_exist(sqs: Sqs) -> None:
    """A handle names a source and a task that exist, and the task must be running."""
    _, source = dead_letters(sqs, "a")
    handle = start(sqs, source, rate=1)
    named = json.loads(base64.b64decode(handle))
    assert named["sourceArn"] == sqs.arn(source)
    for change, words in (
        ({"sourceArn": sqs.arn(source) + "x"}, "SourceArn parameter doesn't exist."),
        ({"taskId": "10f57157-fc38-4da9-a113-4de7e12d05aa"}, "Task does not exist."),
    ):
        forged = base64.b64encode(json.dumps({**named, **change}).encode()).decode()
        with refused("ResourceNotFoundException", words=words, status=404):
            sqs.client.cancel_message_move_task(TaskHandle=forged)
    sqs.advance(1)
    assert tasks(sqs, source)[0]["Status"] == "COMPLETED"
    with refused("ResourceNotFoundException", words="Task does not exist."):
        sqs.client.cancel_message_move_task(TaskHandle=handle)
    with missing("TaskHandle"):
        sqs.client.cancel_message_move_task()


def test_58_the_latest_ten_tasks_are_listed_newest_first(sqs: Sqs) -> None:
    """The latest ten tasks are listed, newest first, one unless more are asked for."""
    url, source = dead_letters(sqs)
    assert "Results" not in sqs.client.list_message_move_tasks(SourceArn=sqs.arn(source))
    for rate in range(1, 13):
        start(sqs, source, url, rate=rate)
        sqs.advance(1)
    assert [task["MaxNumberOfMessagesPerSecond"] for task in tasks(sqs, source)] == list(range(12, 2, -1))
    assert len(tasks(sqs, source, 3)) == 3
    assert len(sqs.client.list_message_move_tasks(SourceArn=sqs.arn(source))["Results"]) == 1
    for most in (0, 11):
        with invalid("MaxResults"):
            tasks(sqs, source, most)
    with refused("ResourceNotFoundException", status=404):
        sqs.client.list_message_move_tasks(SourceArn=sqs.arn(source) + "x")
    with missing("SourceArn"):
        sqs.client.list_message_move_tasks()


def test_59_a_destination_deleted_during_a_move_fails_it(sqs: Sqs) -> None:
    """A destination deleted during a move fails it; what was not moved stays."""
    _, source = dead_letters(sqs, *"abcde")
    target = sqs.queue()
    start(sqs, source, target, rate=1)
    sqs.advance(2)
    sqs.client.delete_queue(QueueUrl=target)
    assert tasks(sqs, source)[0]["Status"] == "RUNNING"
    sqs.advance(1)
    (task,) = tasks(sqs, source)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", NO_QUEUE)
    assert task["ApproximateNumberOfMessagesMoved"] == 2
    assert task["ApproximateNumberOfMessagesToMove"] == 5
    assert sqs.bodies(source) == list("cde")


def test_59_a_source_deleted_during_a_move_ends_it(sqs: Sqs) -> None:
    """A source deleted during a move ends it, and a queue of the same name knows nothing of it."""
    url, source = dead_letters(sqs, *"abc")
    handle = start(sqs, source, rate=1)
    sqs.advance(1)
    sqs.client.delete_queue(QueueUrl=source)
    with refused("ResourceNotFoundException", words="SourceArn", status=404):
        sqs.client.cancel_message_move_task(TaskHandle=handle)
    sqs.client.create_queue(QueueName=source.rpartition("/")[2])
    assert tasks(sqs, source) == []
    sqs.send(source, "x")
    sqs.advance(5)
    assert (sqs.counts(source), sqs.counts(url)) == ((1, 0, 0), (1, 0, 0))
