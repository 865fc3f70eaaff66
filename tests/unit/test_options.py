"""Options: checked when they are built, by rules that also write the documentation."""

from __future__ import annotations

import copy
import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hadoken import options, retry
from hadoken.errors import InvalidOption
from hadoken.options import HandlerOptions, PoolOptions, WorkerOptions

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "options.md"


def build(cls: Any, **given: Any) -> Any:
    """Build an options class with values that type checkers would refuse."""
    return cls(**given)


def test_defaults_are_those_of_the_house() -> None:
    """16 threads, 20 s polls, 25 s of drain, 15 min for a handler."""
    assert PoolOptions(name="default").concurrency == 16
    assert (WorkerOptions().wait_time, WorkerOptions().drain_timeout, WorkerOptions().max_sqs_threads) == (20, 25, 64)
    assert (HandlerOptions().time_limit, HandlerOptions().hold_limit, HandlerOptions().pool) == (900, 300, "default")
    assert HandlerOptions().visibility_timeout is None


def test_a_timedelta_is_kept_as_seconds() -> None:
    """Durations may be timedeltas wherever seconds are."""
    made = build(HandlerOptions, time_limit=timedelta(minutes=1), visibility_timeout=timedelta(minutes=2))
    assert (made.time_limit, made.visibility_timeout) == (60, 120)
    assert isinstance(made.visibility_timeout, int)


@pytest.mark.parametrize(
    ("cls", "given", "says"),
    [
        (HandlerOptions, {"visibility_timeout": 50_000}, "visibility_timeout is 50000 s; SQS allows 0..43200"),
        (HandlerOptions, {"visibility_timeout": 0}, "visibility_timeout is 0 s; others would get the message"),
        (HandlerOptions, {"visibility_timeout": 1.5}, "visibility_timeout is 1.5 s; it is a whole number"),
        (HandlerOptions, {"time_limit": 0}, "time_limit is 0 s"),
        (HandlerOptions, {"time_limit": "60"}, "time_limit is '60'; it is a number of seconds"),
        (HandlerOptions, {"time_limit": float("nan")}, "time_limit is nan s"),
        (HandlerOptions, {"hold_limit": None}, "hold_limit is None"),
        (HandlerOptions, {"hold_limit": True}, "hold_limit is True"),
        (HandlerOptions, {"retry": 5}, "retry is 5; it is fixed(seconds)"),
        (HandlerOptions, {"non_retryable": (ValueError, 3)}, "it is exception classes"),
        (HandlerOptions, {"non_retryable": int}, "it is exception classes"),
        (HandlerOptions, {"pool": "a b"}, "pool is 'a b'"),
        (PoolOptions, {"name": "x" * 33}, "name is 'xxx"),
        (PoolOptions, {"name": "a", "concurrency": 0}, "concurrency is 0; hadoken allows 1..1000"),
        (PoolOptions, {"name": "a", "queues": ["orders"]}, "it is queue names with their weights"),
        (PoolOptions, {"name": "a", "queues": {"orders": 0}}, "queues['orders'] is 0"),
        (PoolOptions, {"name": "a", "queues": {"no good": 1}}, "queue name 'no good'"),
        (WorkerOptions, {"wait_time": 21}, "wait_time is 21 s; hadoken allows 1..20"),
        (WorkerOptions, {"queues": "orders"}, "queues is 'orders'; it is one or more queue names"),
        (WorkerOptions, {"queues": []}, "queues is []"),
        (WorkerOptions, {"endpoint_url": "localhost:9324"}, "it is an http:// or https:// URL"),
        (WorkerOptions, {"region": "Frankfurt"}, "region is 'Frankfurt'"),
    ],
    ids=str,
)
def test_a_value_that_cannot_work_is_refused(cls: type[Any], given: dict[str, Any], says: str) -> None:
    """The error holds the option's name, the value and what is allowed."""
    with pytest.raises(InvalidOption) as caught:
        build(cls, **given)
    assert says in str(caught.value)


def test_a_misspelt_option_names_the_nearest() -> None:
    """An unknown name is an InvalidOption with the allowed ones and a suggestion."""
    with pytest.raises(InvalidOption, match="HandlerOptions has no option time_limt; it has pool, retry") as caught:
        build(HandlerOptions, time_limt=3)
    assert caught.value.hint == "did you mean time_limit?"
    with pytest.raises(InvalidOption) as stranger:
        build(WorkerOptions, zzzzz=1)
    assert not stranger.value.hint


def test_non_retryable_is_normalised() -> None:
    """One class becomes a tuple, a list too, a function stays."""
    assert build(HandlerOptions, non_retryable=ValueError).non_retryable == (ValueError,)
    assert build(HandlerOptions, non_retryable=[ValueError, KeyError]).non_retryable == (ValueError, KeyError)
    assert build(HandlerOptions, non_retryable=callable).non_retryable is callable


def test_a_filter_of_queues_is_kept_as_a_tuple() -> None:
    """Any collection of names is taken."""
    assert build(WorkerOptions, queues=["a", "b.fifo"]).queues == ("a", "b.fifo")


def test_options_can_be_replaced_and_copied_but_not_changed() -> None:
    """The classes are frozen; `dataclasses.replace` checks again."""
    made = HandlerOptions(retry=retry.fixed(3))
    assert copy.copy(made) == made
    assert dataclasses.replace(made, time_limit=5).retry == retry.fixed(3)
    with pytest.raises(InvalidOption):
        dataclasses.replace(made, time_limit=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.pool = "other"  # type: ignore[misc] # the line under test
    with pytest.raises(TypeError):
        PoolOptions(name="a", queues={"q": 1}).queues["q"] = 2  # type: ignore[index] # the line under test


@pytest.mark.parametrize(
    "name", ["orders", "a" * 80, "a" * 75 + ".fifo", "A-_9"], ids=["plain", "longest", "fifo", "odd"]
)
def test_good_queue_names_pass(name: str) -> None:
    """What SQS takes is given back."""
    assert options.check_queue_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 81, "a" * 76 + ".fifo", "a.b", "a b", "a\n", 3, "https://x/1/q"], ids=repr)
def test_bad_queue_names_are_refused(name: object) -> None:
    """What SQS would refuse is refused here."""
    with pytest.raises(InvalidOption, match="queue name"):
        options.check_queue_name(name)


@pytest.mark.parametrize("cls", [HandlerOptions, PoolOptions, WorkerOptions])
def test_the_documentation_holds_the_tables(cls: Any) -> None:
    """docs/reference/options.md shows exactly what the fields say."""
    assert options.table(cls) in PAGE.read_text(encoding="utf-8")
