"""What keeps a worker from coming to rest, in words: which handler hangs, on which message, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hadoken.errors import DrainTimeout, InFlight, LifecycleError
from hadoken.threads.census import stack

if TYPE_CHECKING:
    from hadoken.testing.runs import Run
    from hadoken.worker.engine import Engine


def in_hand(engine: Engine) -> list[InFlight]:
    """What the handler threads of an engine are doing, with their stacks; may be empty. Thread: any."""
    now = engine.clock.lease()
    return [
        InFlight(
            message_id=one.message_id,
            queue=one.queue,
            handler=one.handler,
            thread=f"hadoken-{name}-{one.slot}",
            age=now - one.since,
            stack=stack(next(slot.thread_id for slot in executor.slots if slot.number == one.slot)),
        )
        for name, executor in engine.executors.items()
        for one in executor.in_hand()
    ]


def late(what: str, within: float, in_flight: Sequence[InFlight], runs: Sequence[Run]) -> LifecycleError:
    """The error for a call that did not come to an end: by a handler that hangs, or by runs without end."""
    said = f"{what} did not come to an end in {within:g} s"
    if in_flight:
        return DrainTimeout(f"{said}:\n{named(in_flight)}", in_flight=in_flight)
    last = f"; the last one of {runs[-1].handler}, message {runs[-1].message.id}" if runs else ""
    return LifecycleError(
        f"{said}: {len(runs)} runs so far{last}", hint="is a message released or retried at once for ever?"
    )


def named(in_flight: Sequence[InFlight]) -> str:
    """Handler, message, queue, thread and stack of each; "" for none."""
    return "\n".join(
        f"{one.handler}, message {one.message_id} of {one.queue} in {one.thread}, is at\n{one.stack}"
        for one in in_flight
    )
