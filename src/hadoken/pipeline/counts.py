"""What has happened to the messages of one queue since the start: plain counters, written on the engine loop only."""

from __future__ import annotations

import msgspec

from hadoken.outcome import Kind, Verdict


class Counts(msgspec.Struct):
    """Counters of one queue; each counts messages and only grows.

    Attributes:
        received: messages that entered the in-flight table.
        acked, retried, released, dead_lettered, discarded: outcomes of handlers, by kind.
        failed: outcomes that were failures: exceptions, and retries that handlers asked for.
        deleted: deletes that SQS confirmed.
        extended: messages whose lease was extended at least once; `extensions` counts all of them.
        lost: leases that lapsed or that SQS said are lost.
        unstarted: messages given back without having been started.
        scouted: those of them that a scout found while no thread was free for them in time.
        again: messages received again while we held them, and run only once.
        overrun: runs over their time limit.
    """

    received: int = 0
    acked: int = 0
    retried: int = 0
    released: int = 0
    dead_lettered: int = 0
    discarded: int = 0
    failed: int = 0
    deleted: int = 0
    extended: int = 0
    extensions: int = 0
    lost: int = 0
    unstarted: int = 0
    scouted: int = 0
    again: int = 0
    overrun: int = 0

    def note(self, verdict: Verdict) -> None:
        """Count the outcome of one handler."""
        self.failed += verdict.failed
        if verdict.kind is Kind.ACK:
            self.acked += 1
        elif verdict.kind is Kind.RETRY:
            self.retried += 1
        elif verdict.kind is Kind.RELEASE:
            self.released += 1
        elif verdict.kind is Kind.DEAD_LETTER:
            self.dead_lettered += 1
        else:
            self.discarded += 1
