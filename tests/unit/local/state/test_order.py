"""The orders of a standard queue: first visible first, or any of what is visible; each once, whatever was called."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hadoken.local.state.order import ShuffledOrder, StandardOrder
from hadoken.local.state.stored import State, Stored


def stored(number: int, state: State = State.VISIBLE) -> Stored:
    """A message with a number."""
    message = Stored(id=str(number), body="x", attributes={})
    message.number, message.state = number, state
    return message


STEPS = st.lists(st.tuples(st.sampled_from(["arrive", "leave", "show", "hide"]), st.integers(0, 9)))


@given(STEPS, st.integers(0, 12))
def test_first_visible_is_first_received(steps: list[tuple[str, int]], limit: int) -> None:
    """After any calls, twice the same among them, it offers what is visible in the order in which it became so."""
    order = StandardOrder()
    messages = [stored(number) for number in range(10)]
    visible: dict[int, None] = {}
    for step, number in steps:
        getattr(order, step)(messages[number])
        if step in {"arrive", "show"}:
            visible.setdefault(number)
        else:
            visible.pop(number, None)
        assert order.ready() == bool(visible)
    assert [message.number for message in order.candidates(limit)] == list(visible)[:limit]
    assert all(one.before is one.after is None for one in messages if one.number not in visible)


def test_a_delayed_message_is_offered_when_it_is_shown() -> None:
    """It stands behind what became visible before it."""
    order = StandardOrder()
    late, early = stored(1, State.DELAYED), stored(2)
    order.arrive(late)
    assert not order.ready()
    order.arrive(early)
    order.show(late)
    assert order.candidates(10) == [early, late]


@given(STEPS, st.integers(0, 12))
def test_what_can_be_received_is_what_is_visible(steps: list[tuple[str, int]], limit: int) -> None:
    """After any calls, twice the same among them, it offers visible messages only, each once, all if there is room."""
    order = ShuffledOrder(random.Random(1))
    messages = [stored(number) for number in range(10)]
    visible: set[int] = set()
    for step, number in steps:
        getattr(order, step)(messages[number])
        if step in {"arrive", "show"}:
            visible.add(number)
        else:
            visible.discard(number)
    found = [message.number for message in order.candidates(limit)]
    assert len(set(found)) == len(found) == min(limit, len(visible))
    assert set(found) <= visible
    assert order.ready() == bool(visible)


def test_an_invisible_message_that_arrives_is_not_offered() -> None:
    """A delayed message is offered when it is shown."""
    order = ShuffledOrder(random.Random(1))
    late = stored(1, State.DELAYED)
    order.arrive(late)
    assert not order.ready()
    assert order.candidates(10) == []
    order.show(late)
    assert order.candidates(10) == [late]


def test_every_message_has_its_chance() -> None:
    """Whoever always takes one never starves another: each of ten is drawn."""
    order = ShuffledOrder(random.Random(1))
    for number in range(10):
        order.arrive(stored(number))
    drawn = Counter(order.candidates(1)[0].number for _ in range(1_000))
    assert set(drawn) == set(range(10))
    assert max(drawn.values()) < 200
