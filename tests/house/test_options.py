"""An option is declared once, as a field; every public function that takes it says so by the same name."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest

from hadoken.app import Handlers
from hadoken.options import HandlerOptions, PoolOptions, WorkerOptions
from hadoken.queue import Queue
from hadoken.worker.program import run
from hadoken.worker.worker import Worker


def field_names(options: type[Any]) -> list[str]:
    """The options of a class, in the order of their declaration."""
    return [field.name for field in dataclasses.fields(options)]


def keywords(function: Callable[..., object]) -> list[str]:
    """The keyword-only parameters of a function, in their order."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(Queue.handler, id="queue.handler"),
        pytest.param(typing.get_overloads(Queue.handler)[-1], id="queue.handler as typed"),
        pytest.param(Handlers.handler, id="app.handler"),
    ],
)
def test_handler_takes_every_handler_option(function: Callable[..., object]) -> None:
    """`@queue.handler` and `@app.handler` take exactly the fields of `HandlerOptions`, as explicit keywords."""
    assert keywords(function) == field_names(HandlerOptions)


def test_pool_takes_every_pool_option() -> None:
    """`app.pool` takes exactly the fields of `PoolOptions`, with the same defaults."""
    parameters = dict(inspect.signature(Handlers.pool).parameters)
    del parameters["self"], parameters["unknown"]
    assert list(parameters) == field_names(PoolOptions)
    defaults = {field.name: field.default for field in dataclasses.fields(PoolOptions)}
    assert parameters["concurrency"].default == defaults["concurrency"]


@pytest.mark.parametrize("function", [Worker.__init__, run], ids=["Worker", "run"])
def test_worker_takes_every_worker_option(function: Callable[..., object]) -> None:
    """`Worker(app, ...)` and `run(app, ...)` take every field of `WorkerOptions`, first of all and with its default."""
    parameters = inspect.signature(function).parameters
    options = dataclasses.fields(WorkerOptions)
    assert keywords(function)[: len(options)] == field_names(WorkerOptions)
    assert {each.name: parameters[each.name].default for each in options} == {
        each.name: each.default for each in options
    }


@pytest.mark.parametrize("options", [HandlerOptions, PoolOptions, WorkerOptions])
def test_every_option_says_what_it_means(options: type[Any]) -> None:
    """Each option has one sentence for users, and its range in words."""
    for field in dataclasses.fields(options):
        rule = field.metadata["rule"]
        assert rule.doc.endswith(".")
        assert rule.allowed
