"""The app: declared, validated, inert."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hadoken.app import App, Handlers
from hadoken.errors import ConfigurationError, DuplicateHandler, InvalidHandler, InvalidOption
from hadoken.message import Context
from hadoken.options import HandlerOptions, PoolOptions


def nothing(_: str) -> None:
    """A handler of text."""


def test_declaring_starts_and_opens_nothing() -> None:
    """Importing hadoken and declaring an app loads neither botocore nor the engine, and starts no thread."""
    program = """
import sys, threading
import hadoken
app = hadoken.App("inert")
@app.handler("orders")
def handle(body: dict, ctx: hadoken.Context) -> hadoken.Outcome | None: ...
app.validate({})
loaded = [name for name in sys.modules if name.split(".")[0] in ("botocore", "boto3", "rich", "click", "httptools")]
loaded += [name for name in sys.modules if name.startswith(("hadoken.pipeline", "hadoken.worker", "hadoken.threads"))]
print(loaded, threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[] 1", done.stderr


def test_the_shorthand_makes_the_queue_from_the_annotation() -> None:
    """`@app.handler("name")` declares the queue with the type of the first parameter."""
    app = App("test")

    @app.handler("orders", time_limit=5)
    def handle(body: dict[str, int], ctx: Context) -> None: ...

    assert app.queues["orders"].bodies.type == dict[str, int]
    assert app.handlers == {"orders": handle}
    assert handle.options.time_limit == 5


def test_the_shorthand_finds_types_of_the_function_around() -> None:
    """Annotations are text here; a class of the enclosing function is found while that still runs."""

    @dataclass
    class Local:
        """A body declared in a function."""

        id: int

    app = App("test")

    @app.handler("orders")
    def handle(body: Local) -> None: ...

    assert handle.queue_name == "orders"
    assert app.queues["orders"].bodies.type is Local


def test_the_shorthand_takes_a_queue_that_is_there() -> None:
    """Then the annotation may be left out, and must fit where it is given."""
    app = App("test")
    app.queue("a", str)
    app.queue("b", str)
    assert app.handler("a")(lambda body: None).queue_name == "a"
    with pytest.raises(InvalidHandler, match="takes int; queue b holds str"):

        @app.handler("b")
        def handle(body: int) -> None: ...


def test_the_shorthand_needs_to_know_the_body() -> None:
    """No annotation and no queue, or no name: an error with what to write."""
    app: Any = App("test")
    with pytest.raises(InvalidHandler, match="does not say what its body is"):
        app.handler("orders")(lambda body: None)
    with pytest.raises(InvalidHandler, match="needs the name of a queue"):
        app.handler(nothing)
    with pytest.raises(InvalidOption, match="did you mean retry"):
        app.handler("orders", retries=3)


def test_a_queue_can_be_declared_twice_alike() -> None:
    """The same name and type give the same queue; another type is an error that names both."""
    app = App("test")
    assert app.queue("q", str) is app.queue("q", str)
    with pytest.raises(ConfigurationError, match="queue q is declared with str and with bytes"):
        app.queue("q", bytes)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", None, 3], ids=repr)
def test_a_bad_app_name_is_refused(name: Any) -> None:
    """It stands in logs and reports."""
    with pytest.raises(InvalidOption, match="app name"):
        App(name)


def test_two_apps_in_one_process_know_nothing_of_each_other() -> None:
    """The same queue can have a handler in each; hooks and pools are apart."""
    one, two = App("one"), App("two")
    for app in (one, two):
        app.queue("q", str).handler(nothing)
        app.pool("p")
    one.on_error(lambda *_: None)
    assert one.handlers["q"] is not two.handlers["q"]
    assert (len(one.error_hooks), len(two.error_hooks)) == (1, 0)


class TestInclude:
    """Handlers of other modules."""

    def test_everything_declared_becomes_part_of_the_app(self) -> None:
        """Queues, handlers, pools and hooks, also those declared after the include."""
        told: list[str] = []
        part = Handlers(on_error=[lambda *_: told.append("part")])
        part.queue("before", str).handler(nothing)
        part.pool("p", concurrency=2)
        app = App("test", on_error=[lambda *_: told.append("app")])
        app.include(part)
        part.queue("after", str).handler(nothing)
        assert list(app.handlers) == list(app.queues) == ["before", "after"]
        assert app.pools["p"].concurrency == 2
        part.error_hooks.report(ValueError(), "q", None)  # type: ignore[arg-type] # the hooks do not look
        assert told == ["part", "app"]

    def test_defaults_come_from_the_app_unless_the_part_has_its_own(self) -> None:
        """The part's own defaults take the place of the app's, before and after the include."""
        app = App("test", defaults=HandlerOptions(time_limit=1, hold_limit=2))
        plain, own = Handlers(), Handlers(defaults=HandlerOptions(time_limit=7))
        early = [part.queue(f"early{n}", str).handler(nothing) for n, part in enumerate((plain, own))]
        app.include(plain)
        app.include(own)
        late = [part.queue(f"late{n}", str).handler(hold_limit=9)(nothing) for n, part in enumerate((plain, own))]
        assert [(each.options.time_limit, each.options.hold_limit) for each in early] == [(1, 2), (7, 300)]
        assert [(each.options.time_limit, each.options.hold_limit) for each in late] == [(1, 9), (7, 9)]

    def test_two_handlers_of_one_queue_are_refused_wherever_they_are(self) -> None:
        """At the include, and at a declaration after it."""
        app, first, second = App("test"), Handlers(), Handlers()
        first.queue("q", str).handler(nothing)
        second.queue("q", str).handler(nothing)
        app.include(first)
        with pytest.raises(DuplicateHandler, match="queue q has two handlers"):
            app.include(second)
        with pytest.raises(DuplicateHandler):
            app.queue("q", str).handler(nothing)
        assert app.included == (first,)

    def test_contradictions_are_refused(self) -> None:
        """Another body type, a pool declared twice, handlers that are part of an app."""
        app, part, pools = App("test"), Handlers(), Handlers()
        app.queue("q", str)
        app.pool("p")
        part.queue("q", bytes)
        pools.pool("p")
        with pytest.raises(ConfigurationError, match="declared with str and with bytes"):
            app.include(part)
        with pytest.raises(ConfigurationError, match="pool p is declared twice"):
            app.include(pools)
        used = Handlers()
        app.include(used)
        with pytest.raises(ConfigurationError, match="included in app test already"):
            App("other").include(used)

    def test_a_queue_of_the_app_may_be_used_by_a_part(self) -> None:
        """Both declare the contract; one has the handler."""
        app, part = App("test"), Handlers()
        app.queue("q", str)
        part.queue("q", str).handler(nothing)
        app.include(part)
        assert list(app.handlers) == ["q"]


class TestPools:
    """Which pool runs what."""

    def test_default_is_always_there_and_can_be_declared(self) -> None:
        """16 threads unless the app says otherwise."""
        app = App("test")
        assert app.pools == {"default": PoolOptions(name="default")}
        app.pool("default", concurrency=3)
        assert app.pools["default"].concurrency == 3
        with pytest.raises(ConfigurationError, match="pool default is declared twice"):
            app.pool("default")

    def test_own_option_then_listing_then_default(self) -> None:
        """The rule of `pool_of`."""
        app = App("test")
        app.pool("slow")
        app.pool("fast", queues={"listed": 3, "both": 1})
        made = {name: app.queue(name, str).handler(nothing) for name in ("listed", "plain")}
        made["both"] = app.queue("both", str).handler(pool="slow")(nothing)
        made["named"] = app.queue("named", str).handler(pool="default")(nothing)
        pools = {name: app.pool_of(handler).name for name, handler in made.items()}
        assert pools == {"listed": "fast", "plain": "default", "both": "slow", "named": "default"}
        app.validate({})

    def test_validate_names_everything_that_is_wrong(self) -> None:
        """Undeclared pools, queues listed twice or without a handler, two queues that are one."""
        app = App("test")
        handler = app.queue("orders", str).handler(pool="slwo")(nothing)
        app.queue("other", str).handler(nothing)
        app.pool("slow", queues={"orders": 1, "odrers": 2})
        app.pool("fast", queues={"orders": 1})
        with pytest.raises(ConfigurationError) as caught:
            app.validate({"HADOKEN_QUEUES__OTHER": "orders"})
        text = str(caught.value)
        assert "wants pool slwo; declared are default, slow, fast" in text
        assert "queue orders is listed by 2 pools" in text
        assert "a pool lists queue odrers, which has no handler; did you mean orders?" in text
        assert "queues orders and other are both orders" in text
        with pytest.raises(ConfigurationError, match="wants pool slwo"):
            app.pool_of(handler)

    def test_defaults_may_name_a_pool(self) -> None:
        """A default pool option counts like one given, against the listing."""
        app = App("test", defaults=HandlerOptions(pool="slow"))
        app.pool("slow")
        app.pool("fast", queues={"q": 1})
        assert app.pool_of(app.queue("q", str).handler(nothing)).name == "slow"


def test_what_the_app_shows_cannot_be_changed() -> None:
    """The views are read-only; representations name what matters."""
    app = App("test")
    handler = app.queue("q", str).handler(nothing)
    for view in (app.queues, app.handlers, app.pools):
        with pytest.raises(TypeError):
            view["x"] = 1  # type: ignore[index] # the line under test
    assert repr(app) == "<App test: 1 handlers>"
    assert repr(app.queues["q"]) == "<Queue q>"
    assert repr(handler) == f"<Handler {__name__}.nothing of q>"


@pytest.mark.parametrize(
    ("misspell", "meant"),
    [
        (lambda: App("shop", defalts=None), "defaults"),
        (lambda: App("shop").queue("orders", str, codek=None), "codec"),
        (lambda: App("shop").pool("slow", concurency=2), "concurrency"),
        (lambda: App("shop").queue("orders", str).send("", dely=1), "delay"),
        (lambda: App("shop").queue("orders", str).send_many([], attribute={}), "attributes"),
    ],
    ids=["App", "queue", "pool", "send", "send_many"],
)
def test_a_misspelt_option_is_refused_with_the_nearest(misspell: Callable[[], object], meant: str) -> None:
    """Wherever options are given the error names what was meant."""
    with pytest.raises(InvalidOption, match=f"did you mean {meant}"):
        misspell()
