"""What a fault makes of one call: the entries it takes out, what it does to a receive, the error it answers with."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hadoken.local.faults import STATUSES
from hadoken.local.state import answers, checks, requests, returning
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hadoken.local.faults import Fault
    from hadoken.local.state.queues import Queues

TEXT: Final = "made to fail"
CLIENT: Final = "fault script"
_TIMES: Final = ("SentTimestamp", "ApproximateFirstReceiveTimestamp")
_EMPTY: Final[Mapping[type, Callable[[], Any]]] = {
    requests.SendMessageBatch: answers.SendMessageBatch,
    requests.DeleteMessageBatch: answers.Batch,
    requests.ChangeMessageVisibilityBatch: answers.Batch,
}


def queue_of(request: object) -> str:
    """The name of the queue that a request is about, from its URL, ARN or name; "" where it names none."""
    for field, separator in (("queue_url", "/"), ("queue_name", "/"), ("source_arn", ":")):
        found = getattr(request, field, None)
        if isinstance(found, str):
            return found.rpartition(separator)[2]
    return ""


def size_of(request: object) -> int:
    """Entries of a batch; 1 for a single call."""
    entries = getattr(request, "entries", None)
    return len(entries) if isinstance(entries, list) else 1


def chosen(ids: Sequence[str | None], fault: Fault) -> list[int]:
    """Positions of the entries that a fault makes fail, ascending.

    Args:
        ids: of all entries of the batch.
        fault: of the call.
    """
    return [at for at, one in enumerate(ids) if at in fault.entries or (one is not None and one in fault.entries)]


def without(request: Any, fault: Fault, act: Callable[[Any], Any]) -> Any:  # noqa: ANN401 -- any operation
    """Do a batch without the entries that are made to fail; anything else is done as it is.

    Args:
        request: any request.
        fault: of the call.
        act: does a request and gives its answer.

    Returns:
        The answer, those entries among the failed ones.

    Raises:
        Refusal: what refuses the whole batch, whether or not entries are made to fail.
    """
    empty = _EMPTY.get(type(request))
    entries = request.entries if empty is not None else None
    failed = chosen([one.id for one in entries], fault) if entries else []
    if empty is None or not entries or not failed:
        return act(request)
    checks.batch(entries, f"{type(request).__name__}RequestEntry")  # all of them: without some, a wrong one may pass
    kept = [one for at, one in enumerate(entries) if at not in failed]
    answer = act(msgspec.structs.replace(request, entries=kept)) if kept else _of_none(request, act, empty)
    blame = _refusal(fault.entry_code, 0).sender_fault
    failures = [
        answers.Failure(id=entries[at].id or "", sender_fault=blame, code=fault.entry_code, message=TEXT)
        for at in failed
    ]
    return msgspec.structs.replace(answer, failed=[*answer.failed, *failures])


def received(
    queues: Queues, queue_url: str | None, found: answers.ReceiveMessage, fault: Fault
) -> answers.ReceiveMessage:
    """What a receive brings: it may stay visible, and its times may be off."""
    if fault.twice and found.messages:  # else the queue may be gone: polls on it end by their deadlines
        _uncover(queues, queue_url, found)
    if not fault.clock_offset:
        return found
    return answers.ReceiveMessage([_moved(one, fault.clock_offset) for one in found.messages])


def error(fault: Fault) -> Refusal:
    """The error that a fault answers with, under both names."""
    return _refusal(*fault.error)


def _refusal(code: str, status: int) -> Refusal:
    refusal = Refusal(code, TEXT)
    refusal.status = status or STATUSES.get(code, refusal.status)
    return refusal


def _of_none(request: Any, act: Callable[[Any], Any], empty: Callable[[], Any]) -> Any:  # noqa: ANN401 -- any batch
    """The answer to a batch of which no entry is left; a queue that does not exist refuses it all the same."""
    try:
        return act(msgspec.structs.replace(request, entries=[]))
    except Refusal as refusal:
        if refusal.shape != "EmptyBatchRequest":
            raise
        return empty()


def _uncover(queues: Queues, queue_url: str | None, found: answers.ReceiveMessage) -> None:
    queue = queues.find(queue_url)
    for one in found.messages:
        handle = queues.handles.read(one.receipt_handle)
        if handle is not None:
            with contextlib.suppress(Refusal):  # received for no time at all: its lease has ended, it is visible
                returning.change(queue, handle, one.receipt_handle, 0, CLIENT)


def _moved(message: answers.Message, seconds: float) -> answers.Message:
    moved = {
        name: str(int(value) + round(seconds * 1000)) if name in _TIMES else value
        for name, value in message.attributes.items()
    }
    return msgspec.structs.replace(message, attributes=moved)
