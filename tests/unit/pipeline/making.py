"""Queues, messages and records for tests of the stages, made with as few words as a test needs."""

from __future__ import annotations

from typing import Any

from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs.api import EntryFailure, ReceivedMessage

NOW = 1_000.0  # lease clock at which most tests begin
TRANSIENT = EntryFailure("InternalError", "try again", sender_fault=False)
LEASE_LOST = EntryFailure("ReceiptHandleIsInvalid", "no longer yours")
DENIED = EntryFailure("AccessDenied", "not allowed")
CLIENT = EntryFailure("InvalidParameterValue", "never works")


def queue(name: str = "orders", **settings: Any) -> QueueInfo:
    """A queue with a dead-letter queue; FIFO if its name says so."""
    settings.setdefault("url", f"http://sqs.local/000000000000/{name}")
    settings.setdefault("handler", f"handlers.{name.partition('.')[0]}")
    return QueueInfo(name=name, **settings)


def message(
    name: str = "m1", *, group: str | None = None, receives: int = 1, handle: str = "", **fields: Any
) -> ReceivedMessage:
    """A message whose receipt handle tells which receive it is of."""
    system = {"ApproximateReceiveCount": str(receives)} | ({"MessageGroupId": group} if group else {})
    return ReceivedMessage(name, handle or f"{name}#{receives}", fields.pop("body", "body"), system, **fields)


def record(
    table: Table, of: QueueInfo, name: str = "m1", *, at: float = NOW, state: State | None = None, **fields: Any
) -> Record:
    """A record that has just been received, moved to `state` if one is given."""
    made = table.add(message(name, **fields), of, received_at=at, lease_end=at + of.visibility_timeout)
    if state is not None:
        table.move(made, state)
    return made


def settling(
    table: Table, of: QueueInfo, name: str, kind: Kind = Kind.ACK, *, at: float = NOW, **verdict: Any
) -> Record:
    """A record that has just been finished with a verdict."""
    made = record(table, of, name, at=at, state=State.SETTLING)
    made.verdict = Verdict(kind, **verdict)
    made.visible_at = at + made.verdict.after
    return made
