"""What a worker holds and has done, as plain data: for tests, reports and pages. Never engine objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from hadoken.worker.lateness import EngineLateness

if TYPE_CHECKING:
    from hadoken.worker.pool import Pool


class PoolSnapshot(msgspec.Struct, frozen=True):
    """One pool.

    Attributes:
        in_flight: messages in the table, by class: active, waiting, settling.
        leases: members of the keeper's heap; equal to all in flight, less those whose lease is lost.
        open_polls: queues with an open receive.
        groups: FIFO message groups of which something is held.
        counts: logical queue name -> counter -> value; see `pipeline.counts.Counts`.
    """

    in_flight: int
    active: int
    waiting: int
    settling: int
    leases: int
    open_polls: int
    groups: int
    counts: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, pool: Pool) -> PoolSnapshot:
        """Take the snapshot of a pool. Thread: engine loop."""
        table = pool.table
        return cls(
            in_flight=len(table),
            active=table.active,
            waiting=table.waiting,
            settling=table.settling,
            leases=pool.keeper.members,
            open_polls=sum(poller.granted > 0 for poller in pool.pollers),
            groups=len(pool.groups),
            counts={name: msgspec.structs.asdict(counts) for name, counts in pool.counts.items()},
        )


class TransportSnapshot(msgspec.Struct, frozen=True):
    """How SQS is reached.

    Attributes:
        name: "fast", "botocore", or the class of a transport that was given.
        reason: why botocore; else "".
        endpoint_url: where requests go; "" for a transport that was given.
        threads: those of the transport alone.
        tracers: those that see none of its calls.
    """

    name: str = ""
    reason: str = ""
    endpoint_url: str = ""
    threads: int = 0
    tracers: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A worker.

    Attributes:
        state: "starting", "running", "quiet", "draining", "stopped" or "failed".
        requests: SQS operation -> requests sent by the engine since the start.
        pools: by name; empty until the queues are known.
        lateness: how late the engine runs.
        transport: how SQS is reached.
    """

    state: str
    requests: Mapping[str, int]
    pools: Mapping[str, PoolSnapshot]
    lateness: EngineLateness = EngineLateness()
    transport: TransportSnapshot = TransportSnapshot()

    @property
    def in_flight(self) -> int:
        """Messages held in all."""
        return sum(pool.in_flight for pool in self.pools.values())

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Logical queue name -> counter -> value, over all pools."""
        return {name: counts for pool in self.pools.values() for name, counts in pool.counts.items()}
