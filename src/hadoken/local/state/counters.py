"""How often each operation was called: what a request costs is counted here, by the side that would send the bill."""

from __future__ import annotations

import msgspec


class Count(msgspec.Struct, gc=False):
    """The calls of one operation.

    Attributes:
        requests: calls, refused ones too; a long poll is one.
        entries: entries of the batches, 1 for each single call; of a receive, the messages it brought.
        refused: calls that were refused as a whole.
        failed: entries that failed inside an accepted batch.
        empty: receives that brought nothing.
    """

    requests: int = 0
    entries: int = 0
    refused: int = 0
    failed: int = 0
    empty: int = 0


class Counters:
    """One `Count` per operation, made when the operation is first called."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def of(self, operation: str) -> Count:
        """The count of one operation, such as "ReceiveMessage"."""
        count = self._counts.get(operation)
        if count is None:
            count = self._counts[operation] = Count()
        return count

    def snapshot(self) -> dict[str, Count]:
        """A copy of all counts, by operation."""
        return {name: msgspec.structs.replace(count) for name, count in sorted(self._counts.items())}
