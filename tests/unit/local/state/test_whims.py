"""What chance does to a queue: as often as the profile says, the same for the same seed, and never for ever."""

from __future__ import annotations

import msgspec
import pytest

from hadoken.local.state.profile import AWS, HARSH, PROFILES, Profile
from hadoken.local.state.settings import Settings
from hadoken.local.state.stored import Stored
from hadoken.local.state.whims import Shuffle, Whims

TRIES = 2_000


def whims(**habits: float) -> Whims:
    """The whims of a queue that begins at 100 s."""
    return Whims(msgspec.structs.replace(AWS, **habits), "seed", 100.0)


def stored(number: int) -> Stored:
    """A message with a number."""
    message = Stored(id=str(number), body="x", attributes={})
    message.number = number
    return message


@pytest.mark.parametrize("size", range(11))
def test_a_shuffle_keeps_every_entry_once(size: int) -> None:
    """Every entry once, for each size of batch; from two on sooner or later in another order."""
    shuffle = Shuffle(1)
    orders = {tuple(shuffle(list(range(size)))) for _ in range(64)}
    assert all(sorted(order) == list(range(size)) for order in orders)
    assert (len(orders) > 1) == (size > 1)


def test_a_shuffle_comes_from_its_seed() -> None:
    """The same seed gives the same orders, another seed others."""

    def drawn(seed: int) -> list[list[int]]:
        shuffle = Shuffle(seed)
        return [shuffle(list(range(10))) for _ in range(5)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_only_habits_of_single_queues_ask_for_whims() -> None:
    """`aws` needs none, nor do habits that concern the account or the answer; every other habit does."""
    assert PROFILES == {"aws": AWS, "harsh": HARSH}
    assert not AWS.whimsical
    assert not Profile(shuffled_answers=False, recreation=False).whimsical
    for name in set(Profile.__struct_fields__) - {"shuffled_answers", "recreation", "max_return"}:
        value = getattr(HARSH, name)
        assert value != getattr(AWS, name), f"harsh is as kind as aws in {name}"
        assert msgspec.structs.replace(AWS, **{name: value}).whimsical


def test_chances_are_met_about_as_often_as_they_say() -> None:
    """Zero is never, one is always, and what is between is between."""
    assert not any(whims().misses() for _ in range(TRIES))
    assert all(whims(missed=1.0).misses() for _ in range(10))
    some = whims(missed=0.3)
    assert 0.2 < sum(some.misses() for _ in range(TRIES)) / TRIES < 0.4


@pytest.mark.parametrize("room", [0, 1, 2, 10])
def test_a_short_receive_brings_some(room: int) -> None:
    """Never more than there is room for, never nothing where there is room."""
    short = whims(short=1.0)
    sizes = {short.shorter(room) for _ in range(200)}
    assert sizes == (set(range(1, room + 1)) if room else {0})
    assert {whims().shorter(room) for _ in range(10)} == {room}


def test_a_message_comes_back_once_within_its_time() -> None:
    """Deleted it comes back, deleted again it does not; what ends otherwise never does."""
    odd = whims(returned=1.0, max_return=60.0)
    message, moved = stored(1), stored(2)
    odd.gone(moved, 100.0, deleted=False)
    odd.gone(message, 100.0, deleted=True)
    at = odd.next()
    assert at is not None
    assert 100.0 <= at <= 160.0
    assert odd.returns(at - 0.001) == []
    assert odd.returns(at) == [message]
    odd.gone(message, 200.0, deleted=True)
    assert odd.next() is None
    odd.gone(message, 300.0, deleted=True)  # a number is not used again, but nothing is remembered of it either
    assert odd.next() is not None


def test_a_double_ends_with_its_message() -> None:
    """What is gone is not given out again, and nothing is kept of it."""
    odd = whims(doubled=1.0)
    message = stored(1)
    odd.given(message, 30, 100.0)
    at = odd.next()
    assert at is not None
    assert 100.0 <= at <= 130.0
    odd.gone(message, 100.0, deleted=True)
    assert odd.next() is None
    odd.given(message, 30, 100.0)
    assert odd.doubles(130.0) == [1]
    odd.given(message, 30, 130.0)
    odd.forget_messages()
    assert odd.next() is None


def test_counting_times_are_steps_of_the_lateness_from_the_beginning() -> None:
    """Each time is taken once; after a long silence only the latest counts."""
    assert whims().counting(10_000.0) is None
    late = whims(lateness=60.0)
    assert late.counting(159.9) is None
    assert late.counting(165.0) == 160.0
    assert late.counting(219.0) is None
    assert late.counting(999.0) == 940.0
    assert late.counting(999.9) is None


def test_settings_come_in_the_order_in_which_they_were_asked_for() -> None:
    """Each comes its lateness after it was asked for, with the time at which it came."""
    late = whims(lateness=60.0)
    first, second = Settings(delay=1), Settings(delay=2)
    assert late.postponed is None
    late.postpone(first, 100.0)
    late.postpone(second, 130.0)
    assert late.postponed is second
    assert late.settings(159.9) == []
    assert late.settings(160.0) == [(160.0, first)]
    assert late.settings(500.0) == [(190.0, second)]
    assert late.postponed is None
