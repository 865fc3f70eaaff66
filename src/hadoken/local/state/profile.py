"""How kind a local SQS is: everything that AWS may do to its clients and mostly does not, by name.

`AWS` behaves as AWS was seen to behave and as it documents. `HARSH` gives the worst answers the documents allow. Take
one of them, or switch single habits: `msgspec.structs.replace(AWS, doubled=1.0)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The habits of a local SQS. Chances are 0..1, drawn from the seed of its `Queues`; durations are seconds.

    Attributes:
        shuffled_answers: a batch is answered in any order of its entries: whoever reads it goes by their ids.
        old_handles_delete: standard queues: a handle of an earlier receive deletes; else it is accepted and ignored.
        late_changes: standard queues: a visibility change after the lease ended hides the message again; else
            MessageNotInflight.
        shuffled_order: standard queues: what is received is drawn from all that is visible.
        returned: chance that a deleted message of a standard queue comes back; it does so once, within `max_return`.
        max_return: seconds within which it comes back.
        doubled: chance that a message of a standard queue, once received, is given out again while its lease lasts.
        missed: chance that a short poll finds nothing whatever there is.
        short: chance that a receive brings fewer messages than it could, but some.
        lateness: the counters of a queue are those of up to so many seconds ago, and its attributes change after so
            many seconds. SQS says 60.
        recreation: a queue can be created under a name whose queue was deleted in the last 60 s; else
            QueueDeletedRecently.
    """

    shuffled_answers: bool = True
    old_handles_delete: bool = True
    late_changes: bool = True
    shuffled_order: bool = False
    returned: float = 0.0
    max_return: float = 60.0
    doubled: float = 0.0
    missed: float = 0.0
    short: float = 0.0
    lateness: float = 0.0
    recreation: bool = True

    @property
    def whimsical(self) -> bool:
        """Whether it has habits of single queues, beyond those of `AWS`."""
        return self != msgspec.structs.replace(AWS, shuffled_answers=self.shuffled_answers, recreation=self.recreation)


AWS: Final = Profile()
# The chances are guesses: high enough that a test of a hundred messages meets each, low enough that it ends.
HARSH: Final = Profile(
    old_handles_delete=False,
    late_changes=False,
    shuffled_order=True,
    returned=0.1,
    doubled=0.1,
    missed=0.3,
    short=0.3,
    lateness=60.0,
    recreation=False,
)
PROFILES: Final[Mapping[str, Profile]] = {"aws": AWS, "harsh": HARSH}
