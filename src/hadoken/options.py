"""Every option: its type, default, range and meaning, in one place.

From a field come the check at declaration, the text of the error and the table in the documentation. Public functions
take the same options as explicit keywords, so that type checkers see a misspelt one; at run time it is an
`InvalidOption` that names the nearest.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Self, cast

from hadoken import limits
from hadoken.errors import InvalidOption
from hadoken.retry import RetryPolicy, policy_of, seconds_of

Check = Callable[[str, Any], Any]
NonRetryable = tuple[type[BaseException], ...] | Callable[[BaseException], bool]

POOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
DEFAULT_POOL: Final = "default"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one option may be.

    Attributes:
        doc: one sentence for users.
        allowed: the range in words, as it stands in the documentation and in errors.
        check: (name, value) -> the value as it is kept; raises `InvalidOption`.
    """

    doc: str
    allowed: str
    check: Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Base of the options classes: refuses unknown names, and runs each field's check when it is built."""

    def __new__(cls, *_args: object, **given: object) -> Self:
        """Look at the names first: Python's own TypeError for an unknown one would not name the nearest.

        Raises:
            InvalidOption: a name is unknown.
        """
        refuse_unknown(cls.__name__, given, [field.name for field in dataclasses.fields(cls)])
        # Not `super()`: with slots the class is built anew and `super()` would still mean the old one.
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Replace each value by what its check makes of it.

        Raises:
            InvalidOption: a value cannot be.
        """
        for field in dataclasses.fields(self):
            rule: Rule = field.metadata["rule"]
            object.__setattr__(self, field.name, rule.check(field.name, getattr(self, field.name)))


def refuse_unknown(where: str, given: Collection[str], allowed: Collection[str]) -> None:
    """Raise for the first name in `given` that is not in `allowed`, with the nearest and all allowed ones.

    Raises:
        InvalidOption: a name is unknown.
    """
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, list(allowed), n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            raise InvalidOption(f"{where} has no option {name}; it has {', '.join(allowed)}", hint=hint)


def table(cls: type[Options]) -> str:
    """The documentation's table of an options class, as Markdown."""
    lines = ["| option | default | allowed | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        rule: Rule = field.metadata["rule"]
        lines.append(f"| `{field.name}` | {_shown(field)} | {rule.allowed} | {rule.doc} |")
    return "\n".join(lines)


def _shown(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


def option(doc: str, allowed: str, check: Check, **default: Any) -> Any:  # noqa: ANN401 -- as dataclasses.field
    """A field of an options class: what it means, what is allowed, how that is checked."""
    return dataclasses.field(metadata={"rule": Rule(doc, allowed, check)}, **default)


def number(low: float, high: float, *, says: str, unit: str = "", whole: bool = False, none: bool = False) -> Check:
    """A check for numbers in low..high; durations may be timedeltas where the unit is seconds.

    Args:
        low: the least allowed.
        high: the most allowed.
        says: who sets the bound, for the error: "SQS allows".
        unit: " s" for durations, "" for counts.
        whole: whether fractions are refused.
        none: whether None is allowed.
    """

    def check(name: str, value: Any) -> Any:  # noqa: ANN401 -- what users pass is not known before it is checked
        if value is None and none:
            return None
        plain = seconds_of(value) if unit and isinstance(value, timedelta) else value
        if isinstance(plain, bool) or not isinstance(plain, (int, float)):
            raise InvalidOption(f"{name} is {value!r}; it is a number{unit and ' of seconds'}, {low:g}..{high:g}")
        if not low <= plain <= high:
            raise InvalidOption(f"{name} is {plain:.15g}{unit}; {says} {low:g}..{high:.15g}")
        if not whole:
            return plain
        if plain != int(plain):
            raise InvalidOption(f"{name} is {plain:.15g}{unit}; it is a whole number")
        return int(plain)

    return check


def text(pattern: str, wanted: str, *, none: bool = False) -> Check:
    """A check for text that matches `pattern` whole; `wanted` says in words what that is."""
    compiled = re.compile(pattern)

    def check(name: str, value: Any) -> Any:  # noqa: ANN401 -- see number
        if (value is None and none) or (isinstance(value, str) and compiled.fullmatch(value)):
            return value
        raise InvalidOption(f"{name} is {value!r}; it is {wanted}")

    return check


def _visibility(name: str, value: object) -> object:
    seconds = number(*limits.VISIBILITY, says="SQS allows", unit=" s", whole=True, none=True)(name, value)
    if seconds == 0:
        raise InvalidOption(f"{name} is 0 s; others would get the message while it is handled", hint="give 1 or more")
    return seconds


def _retry(_name: str, value: object) -> RetryPolicy | None:
    return None if value is None else policy_of(value)


def _non_retryable(name: str, value: object) -> NonRetryable:
    if isinstance(value, type) and issubclass(value, BaseException):
        return (value,)
    if isinstance(value, (tuple, list)):
        if all(isinstance(each, type) and issubclass(each, BaseException) for each in value):
            return tuple(value)
    elif callable(value) and not isinstance(value, type):
        return cast("Callable[[BaseException], bool]", value)
    raise InvalidOption(f"{name} is {value!r}; it is exception classes, or a function of the exception")


def _weights(name: str, value: object) -> Mapping[str, int]:
    if not isinstance(value, Mapping):
        raise InvalidOption(f"{name} is {value!r}; it is queue names with their weights, such as {{'orders': 3}}")
    weight = number(1, 1_000, says="a weight is", whole=True)
    for queue in value:
        check_queue_name(queue)
    return MappingProxyType({queue: weight(f"{name}[{queue!r}]", each) for queue, each in value.items()})


def _names(name: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Collection) or not value:
        raise InvalidOption(f"{name} is {value!r}; it is one or more queue names", hint="None takes all queues")
    return tuple(check_queue_name(each) for each in value)


def check_queue_name(name: object) -> str:
    """Give back the name of a queue, or say what is wrong with it.

    Raises:
        InvalidOption: SQS would not take it as the name of a queue.
    """
    if isinstance(name, str) and limits.QUEUE_NAME.fullmatch(name):
        return name
    hint = "declare a plain name and map it by HADOKEN_QUEUES__<NAME>" if ":" in str(name) else ""
    raise InvalidOption(
        f"queue name {name!r}: SQS allows 1..80 letters, digits, - and _, and .fifo at the end of a FIFO queue",
        hint=hint,
    )


_POOL: Final = text(POOL_NAME.pattern, "1..32 letters, digits, - and _")
_THREADS: Final = number(1, 1_000, says="hadoken allows", whole=True)
_STOP: Final = number(0, limits.VISIBILITY_TOTAL, says="hadoken allows", unit=" s")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions(Options):
    """How one handler is run. Durations are seconds; a timedelta is taken too and kept as seconds."""

    pool: str = option("The pool whose threads run the handler.", "name of a pool", _POOL, default=DEFAULT_POOL)
    retry: RetryPolicy | None = option(  # noqa: RUF009 -- a dataclasses.field
        "How long a failed message waits; None is `exponential(5, max=900)`.",
        "`fixed()`, `exponential()`, list of seconds, function of the attempt, None",
        _retry,
        default=None,
    )
    non_retryable: NonRetryable = option(  # noqa: RUF009 -- likewise
        "Exceptions that no retry can mend: the message goes to the dead-letter queue at once.",
        "exception classes, or a function of the exception",
        _non_retryable,
        default=(),
    )
    time_limit: float | None = option(
        "Seconds after which a running handler is told to end and its message is no longer held; None never.",
        "above 0, at most 43200 s, None",
        number(0.001, limits.VISIBILITY_TOTAL, says="hadoken allows", unit=" s", none=True),
        default=900,
    )
    visibility_timeout: int | None = option(
        "Seconds a message stays invisible per receive or extension; None takes the queue's own.",
        "1..43200 whole s, None",
        _visibility,
        default=None,
    )
    hold_limit: float = option(
        "FIFO: the longest retry wait during which the rest of the message group stays held.",
        "0..43200 s",
        number(0, limits.VISIBILITY_TOTAL, says="hadoken allows", unit=" s"),
        default=300,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions(Options):
    """A pool: handler threads that serve some queues."""

    name: str = option("The pool's name; its threads carry it.", "1..32 letters, digits, `-`, `_`", _POOL)
    concurrency: int = option("How many handler threads it has.", "1..1000", _THREADS, default=16)
    queues: Mapping[str, int] = option(
        "Queues it serves, with their weights: shares of the receives while all have messages.",
        "queue name to weight 1..1000",
        _weights,
        default_factory=dict,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions(Options):
    """How a worker is run."""

    concurrency: int | None = option(
        "Handler threads of the default pool, instead of what the app says.",
        "1..1000, None",
        number(1, 1_000, says="hadoken allows", whole=True, none=True),
        default=None,
    )
    queues: tuple[str, ...] | None = option(
        "Only these queues are served; None serves all.", "queue names, None", _names, default=None
    )
    drain_timeout: float = option(
        "Seconds from the signal within which running handlers may finish.", "0..43200 s", _STOP, default=25
    )
    wait_time: int = option(
        "Seconds of a long poll; one that does not wait would ask an empty queue again and again.",
        "1..20 whole s",
        number(1, limits.WAIT_TIME[1], says="hadoken allows", unit=" s", whole=True),
        default=20,
    )
    region: str | None = option(
        "AWS region; None takes the usual AWS settings.",
        "such as `eu-central-1`, None",
        text(r"[a-z0-9-]{1,64}", "a region such as eu-central-1", none=True),
        default=None,
    )
    endpoint_url: str | None = option(
        "Where SQS is, when it is not AWS's own address.",
        "an http or https URL, None",
        text(r"https?://[^\s/]+\S*", "an http:// or https:// URL", none=True),
        default=None,
    )
    transport: str = option(
        "How SQS is reached: by our own transport, by botocore, or by ours unless something is in its way.",
        "`auto`, `fast`, `botocore`",
        text(r"auto|fast|botocore", '"auto", "fast" or "botocore"'),
        default="auto",
    )
    max_sqs_threads: int = option(
        "The most threads the botocore transport may have (queues + 2); more is an error at boot.",
        "1..1000",
        _THREADS,
        default=64,
    )
    switch_interval: float | None = option(
        "Seconds after which a thread that computes lets another one in (`sys.setswitchinterval`), while the worker "
        "runs; None leaves it as it is, 0.005 as a rule.",
        "0.00001..1 s, None",
        number(0.00001, 1, says="hadoken allows", unit=" s", none=True),
        default=None,
    )
