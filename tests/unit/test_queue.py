"""Queues as declared: names, addresses, the decorator."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from hadoken import limits, retry
from hadoken.app import App
from hadoken.errors import ConfigurationError, DuplicateHandler, InvalidHandler, InvalidOption
from hadoken.handler import Handler
from hadoken.sqs.address import check_address, url_of


class Paid(TypedDict):
    """A body."""

    order: int


class Sent(TypedDict):
    """Another body."""

    to: str


def takes_paid(_: Paid) -> None:
    """Be a handler of `Paid`."""


def takes_dict(_: dict[str, int]) -> None:
    """Be a handler of any dict."""


def test_the_address_is_the_name_unless_mapped() -> None:
    """The variable is upper-case with _ for everything else; an empty one maps nothing."""
    queue = App("test").queue("my-orders.fifo".replace("-", "_"), str)
    assert queue.variable == "HADOKEN_QUEUES__MY_ORDERS_FIFO"
    assert queue.address({}) == "my_orders.fifo"
    assert queue.address({queue.variable: ""}) == "my_orders.fifo"
    assert queue.address({queue.variable: "prod-orders.fifo"}) == "prod-orders.fifo"


@pytest.mark.parametrize(
    "address",
    [
        "a b",
        "ftp://x/1/q",
        "arn:aws:sns:eu-west-1:123456789012:q",
        "arn:aws:sqs:eu-west-1:12:q",
        "arn:aws-x:sqs:r:123456789012:q",
    ],
    ids=["name", "scheme", "service", "account", "partition"],
)
def test_a_bad_address_names_the_variable(address: str) -> None:
    """The mistake is in the environment, and the error says where."""
    queue = App("test").queue("orders", str)
    with pytest.raises(ConfigurationError, match=r"HADOKEN_QUEUES__ORDERS is .*; it is the name, URL or ARN"):
        queue.address({"HADOKEN_QUEUES__ORDERS": address})


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "sqs.eu-west-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "sqs.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "sqs.us-gov-west-1.amazonaws.com"),
    ],
)
def test_an_arn_gives_its_url_in_every_partition(partition: str, region: str, host: str) -> None:
    """The account is kept: the queue may belong to another one."""
    arn = f"arn:{partition}:sqs:{region}:123456789012:q.fifo"
    assert url_of(check_address(arn, "here")) == f"https://{host}/123456789012/q.fifo"
    assert limits.is_fifo(arn)
    assert url_of("plain") is None


def test_the_decorator_works_bare_and_with_options() -> None:
    """Both make a Handler, which is kept by the app."""
    app = App("test")

    @app.queue("a", str).handler
    def first(body: str) -> None: ...

    @app.queue("b", str).handler(retry=retry.fixed(3), time_limit=5)
    def second(body: str) -> None: ...

    assert isinstance(first, Handler)
    assert app.handlers == {"a": first, "b": second}
    assert (first.options.time_limit, second.options.time_limit) == (900, 5)
    assert second.name == f"{__name__}.test_the_decorator_works_bare_and_with_options.<locals>.second"
    assert second.__name__ == "second"
    assert second.__doc__ is None


def test_a_wrong_option_is_an_error_of_the_decorators_line() -> None:
    """Before any function is there; with the nearest name, or the allowed range."""
    queue: Any = App("test").queue("q", str)
    with pytest.raises(InvalidOption, match="handler has no option timelimit; it has pool, retry") as caught:
        queue.handler(timelimit=3)
    assert caught.value.hint == "did you mean time_limit?"
    with pytest.raises(InvalidOption, match=r"visibility_timeout is 50000 s; SQS allows 0\.\.43200"):
        queue.handler(visibility_timeout=50_000)
    with pytest.raises(InvalidHandler):
        queue.handler(3)


def test_a_typed_dict_is_taken_as_itself_or_as_a_dict() -> None:
    """Another TypedDict is another body."""
    app = App("test")
    assert app.queue("a", Paid).handler(takes_paid).queue_name == "a"
    assert app.queue("b", Paid).handler(takes_dict).queue_name == "b"  # type: ignore[arg-type] # a dict at run time
    with pytest.raises(InvalidHandler, match="takes Paid; queue c holds Sent"):
        app.queue("c", Sent).handler(takes_paid)  # type: ignore[arg-type] # the line under test


def test_a_second_handler_is_refused_and_named() -> None:
    """The error names the queue and both functions; the first stays."""
    queue = App("test").queue("q", str)

    @queue.handler
    def first(body: str) -> None: ...

    def second(body: str) -> None: ...

    with pytest.raises(DuplicateHandler, match=r"queue q has two handlers: .*first and .*second"):
        queue.handler(second)


def test_a_refused_handler_leaves_nothing_behind() -> None:
    """After the mistake is mended the queue can be given its handler."""
    app = App("test")
    queue = app.queue("q", str)
    with pytest.raises(InvalidHandler):
        queue.handler(lambda: None)  # type: ignore[arg-type, misc] # the line under test
    assert not app.handlers
    queue.handler(lambda _: None)
    assert list(app.handlers) == ["q"]
