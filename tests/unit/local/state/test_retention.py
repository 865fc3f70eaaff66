"""Which message has been kept the longest: right for any order of coming, leaving and coming back, and small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hadoken.local.state.retention import Retention
from hadoken.local.state.stored import Stored


def stored(number: int, kept_from: float) -> Stored:
    """A message with a number."""
    message = Stored(id=str(number), body="x", attributes={})
    message.number, message.kept_from = number, kept_from
    return message


class Kept:
    """Messages and their retention, changed together as a queue does."""

    def __init__(self) -> None:
        self.messages: dict[int, Stored] = {}
        self.retention = Retention(self.messages)

    def add(self, message: Stored) -> None:
        """Let a message come in."""
        self.messages[message.number] = message
        self.retention.add(message)

    def remove(self, number: int) -> Stored:
        """Let a message go."""
        message = self.messages.pop(number)
        self.retention.discard(number)
        return message

    def oldest(self) -> int:
        """The number of the one that has been kept the longest."""
        found = self.retention.oldest()
        assert found is not None
        return found.number


# A message comes with an age, or the n-th of those there goes, or the n-th of those that went comes back.
STEPS = st.lists(st.tuples(st.sampled_from(["come", "go", "return"]), st.integers(0, 30)), max_size=60)


@given(STEPS)
def test_the_oldest_is_the_oldest(steps: list[tuple[str, int]]) -> None:
    """Whatever came, went and came back: no message that is there has been kept longer than the one that is named."""
    kept, gone = Kept(), list[Stored]()
    for number, (step, value) in enumerate(steps, 1):
        if step == "come":
            kept.add(stored(number, float(value)))
        elif step == "go" and kept.messages:
            gone.append(kept.remove(list(kept.messages)[value % len(kept.messages)]))
        elif step == "return" and gone:
            kept.add(gone.pop(value % len(gone)))
        times = [message.kept_from for message in kept.messages.values()]
        found = kept.retention.oldest()
        assert (None if found is None else found.kept_from) == min(times, default=None)
        assert found is None or kept.messages[found.number] is found


@given(STEPS)
def test_taking_the_oldest_again_and_again_sorts(steps: list[tuple[str, int]]) -> None:
    """Every message comes once, in the order of its time, until none is left."""
    kept = Kept()
    for number, (_, age) in enumerate(steps, 1):
        kept.add(stored(number, float(age)))
    taken = [kept.remove(kept.oldest()).kept_from for _ in steps]
    assert taken == sorted(taken)
    assert len(taken) == len(steps)
    assert kept.retention.oldest() is None


def test_messages_of_one_time_end_in_the_order_in_which_they_came() -> None:
    """The line goes before what came out of line with the same time."""
    kept = Kept()
    for number, at in ((1, 5.0), (2, 9.0), (3, 5.0), (4, 5.0)):
        kept.add(stored(number, at))
    assert [kept.remove(kept.oldest()).number for _ in range(4)] == [1, 3, 4, 2]


def test_a_message_that_comes_back_takes_its_place_and_ends_once() -> None:
    """Its leftover in the line and its new entry are one message, not two."""
    kept = Kept()
    for number in (1, 2, 3):
        kept.add(stored(number, float(number)))
    kept.add(kept.remove(2))
    assert [kept.remove(kept.oldest()).number for _ in range(3)] == [1, 2, 3]
    assert kept.retention.oldest() is None


def test_leftovers_are_bounded() -> None:
    """A message that stays at the head keeps no room for the thousands that came and went behind it."""
    kept = Kept()
    kept.add(stored(1, 1.0))
    for number in range(2, 10_000):
        kept.add(stored(number, float(number)))
        kept.remove(number)
    assert kept.oldest() == 1
    assert kept.retention.leftovers <= 2 * 64
    kept.remove(1)
    assert kept.retention.oldest() is None
    assert kept.retention.leftovers == 0
