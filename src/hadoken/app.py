"""The app: queues, handlers and pools, declared. It starts nothing and opens nothing."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Concatenate, Final, Never, ParamSpec, Protocol, TypeVar

from hadoken import signature
from hadoken.codec import Codec, type_name
from hadoken.errors import ConfigurationError, DuplicateHandler, InvalidHandler
from hadoken.events import ErrorHook, ErrorHooks, name_of
from hadoken.handler import Handler
from hadoken.options import DEFAULT_POOL, HandlerOptions, NonRetryable, PoolOptions, refuse_unknown, text
from hadoken.outcome import Outcome
from hadoken.queue import UNSET, Queue, Unset, given_options
from hadoken.retry import Retries
from hadoken.sending.routes import Door
from hadoken.sending.sender import Sender

B = TypeVar("B")
P = ParamSpec("P")
R = TypeVar("R", bound=Outcome | None)
H = TypeVar("H", bound=ErrorHook)
AnyHandler = Handler[Any, ..., Any]

_NAME: Final = text(r"[ -~]{1,64}", "1..64 printable characters")


class Shorthand(Protocol):
    """What `@app.handler("name")` gives: it takes the queue's type from the function and keeps the function's."""

    def __call__(self, function: Callable[Concatenate[B, P], R], /) -> Handler[B, P, R]:
        """Make the queue and its handler."""
        ...


class Handlers:
    """Declarations of one module, to be included in an app.

    Args:
        defaults: options for the handlers declared here that do not give their own; None takes the app's.
        on_error: called for every failure as (error, name of the queue, message).

    Attributes:
        sender: sends for the queues declared here; the app's own once they are included.
        error_hooks: told of failures of the handlers declared here, before the app's.
        own_queues: what was declared here, by name; likewise own_handlers (by queue) and own_pools.
    """

    def __init__(self, *, defaults: HandlerOptions | None = None, on_error: Iterable[ErrorHook] = ()) -> None:
        self.sender = Sender()
        self.error_hooks = ErrorHooks()
        self.own_queues: dict[str, Queue[Any]] = {}
        self.own_handlers: dict[str, AnyHandler] = {}
        self.own_pools: dict[str, PoolOptions] = {}
        self._defaults = defaults
        self._app: App | None = None
        for hook in on_error:
            self.error_hooks.add(hook)

    def queue(self, name: str, body: type[B], *, codec: Codec[B] | None = None, **unknown: Never) -> Queue[B]:
        """Declare a queue and the type of its bodies; declaring it twice alike gives the same queue.

        Args:
            name: 1..80 letters, digits, - and _, with .fifo at the end of a FIFO queue. HADOKEN_QUEUES__<NAME> maps it
                to another name, a URL or an ARN; that is read when it is needed, not here.
            body: str, bytes, dict, list, a dataclass, a TypedDict or a msgspec.Struct; any type if `codec` is given.
            codec: turns bodies into text and back in a way of its own.
            **unknown: none; a misspelt option is refused with the nearest name.

        Raises:
            InvalidOption: the name or the type cannot be.
            ConfigurationError: the queue was declared with another type.
        """
        refuse_unknown("queue", unknown, ("codec",))
        queue = Queue(name, body, owner=self, codec=codec)
        if name in self.queues:
            _refuse_other_contract(self.queues[name], queue)
        return self.own_queues.setdefault(name, queue)

    def handler(
        self,
        queue: str,
        /,
        *,
        pool: str | Unset = UNSET,
        retry: Retries | Unset | None = UNSET,
        non_retryable: NonRetryable | type[BaseException] | Unset = UNSET,
        time_limit: float | timedelta | Unset | None = UNSET,
        visibility_timeout: float | timedelta | Unset | None = UNSET,
        hold_limit: float | timedelta | Unset = UNSET,
        **unknown: Never,
    ) -> Shorthand:
        """Make a function the handler of a queue, whose body type is the annotation of the function's first parameter.

        Options are those of `Queue.handler`.

        Raises:
            InvalidHandler: the function's signature or kind cannot work.
            InvalidOption: an option does not exist or cannot have this value.
            DuplicateHandler: the queue has a handler.
        """
        _refuse_bare(queue)
        given = given_options(
            unknown,
            pool=pool,
            retry=retry,
            non_retryable=non_retryable,
            time_limit=time_limit,
            visibility_timeout=visibility_timeout,
            hold_limit=hold_limit,
        )

        def declare(function: Callable[Concatenate[B, P], R], /) -> Handler[B, P, R]:
            known = self.own_queues.get(queue)
            return self.bind(known or self.queue(queue, _body_of(function)), function, given)

        return declare

    def pool(
        self, name: str, *, concurrency: int = 16, queues: Mapping[str, int] | None = None, **unknown: Never
    ) -> PoolOptions:
        """Declare a pool of handler threads. The pool "default" is there without it.

        Args:
            name: 1..32 letters, digits, - and _; its threads carry it.
            concurrency: 1..1000 handler threads.
            queues: queue name -> weight, its share of the receives while all have messages.
            **unknown: none; a misspelt option is refused with the nearest name.

        Raises:
            InvalidOption: an option does not exist or cannot have this value.
            ConfigurationError: the pool was declared before.
        """
        refuse_unknown("pool", unknown, ("concurrency", "queues"))
        options = PoolOptions(name=name, concurrency=concurrency, queues=queues or {})
        _refuse_second_pool(self.declared_pools, name)
        self.own_pools[name] = options
        return options

    def on_error(self, hook: H) -> H:
        """Call a function for every failure as (error, name of the queue, message); used as a decorator.

        It is called in the handler thread. What it raises is logged and changes nothing. It must not keep the error or
        the message.

        Raises:
            InvalidHandler: it cannot be called so.
        """
        return self.error_hooks.add(hook)

    def bind(
        self, queue: Queue[B], function: Callable[Concatenate[B, P], R], given: Mapping[str, Any]
    ) -> Handler[B, P, R]:
        """Make and keep the handler of a queue declared here; what `Queue.handler` and `handler` come down to.

        Raises:
            InvalidHandler, InvalidOption, DuplicateHandler: see `handler`.
        """
        _refuse_second_handler(self.handlers, queue.name, name_of(function))
        handler = Handler(
            function,
            queue_name=queue.name,
            bodies=queue.bodies,
            given=given,
            defaults=self._inherited(),
            hooks=self.error_hooks,
        )
        self.own_handlers[queue.name] = handler
        return handler

    @property
    def queues(self) -> Mapping[str, Queue[Any]]:
        """All declared queues by name, those without a handler too; with those of the app once included."""
        family = reversed(self._family())
        return MappingProxyType({name: queue for each in family for name, queue in each.own_queues.items()})

    @property
    def handlers(self) -> Mapping[str, AnyHandler]:
        """All handlers by the name of their queue, in the order of declaration; with those of the app once included."""
        return MappingProxyType({name: found for each in self._family() for name, found in each.own_handlers.items()})

    @property
    def declared_pools(self) -> Mapping[str, PoolOptions]:
        """The pools that were declared, by name; with those of the app once included."""
        return MappingProxyType({name: pool for each in self._family() for name, pool in each.own_pools.items()})

    def _family(self) -> tuple[Handlers, ...]:
        """All declarations that end up in one app, the app first."""
        return (self,) if self._app is None else (self._app, *self._app.included)

    def _inherited(self) -> HandlerOptions:
        if self._defaults is not None:
            return self._defaults
        return HandlerOptions() if self._app is None else self._app.defaults

    def join(self, app: App) -> None:
        """Become part of an app; what `App.include` comes down to.

        Raises:
            ConfigurationError: part of an app already, or what is declared here contradicts the app.
        """
        if self._app is not None:
            raise ConfigurationError(f"these handlers are included in app {self._app.name} already")
        for name, queue in self.own_queues.items():
            if name in app.queues:
                _refuse_other_contract(app.queues[name], queue)
        for handler in self.own_handlers.values():
            _refuse_second_handler(app.handlers, handler.queue_name, handler.name)
        for name in self.own_pools:
            _refuse_second_pool(app.declared_pools, name)
        self._app, self.sender, self.error_hooks.parent = app, app.sender, app.error_hooks
        for handler in self.own_handlers.values():
            handler.apply_defaults(self._inherited())


class App(Handlers):
    """Queues, handlers and pools of one application. Inert: declaring starts nothing and opens nothing.

    Args:
        name: for logs and reports; 1..64 printable characters.
        defaults: options for handlers that do not give their own.
        on_error: called for every failure as (error, name of the queue, message).
        **unknown: none; a misspelt option is refused with the nearest name.

    Attributes:
        name: as given.
        defaults: as given, or hadoken's own.
        included: what `include` was given, in order.
    """

    def __init__(
        self,
        name: str,
        *,
        defaults: HandlerOptions | None = None,
        on_error: Iterable[ErrorHook] = (),
        **unknown: Never,
    ) -> None:
        refuse_unknown("App", unknown, ("defaults", "on_error"))
        _NAME("app name", name)
        super().__init__(defaults=defaults, on_error=on_error)
        self.name = name
        self.defaults = HandlerOptions() if defaults is None else defaults
        self.included: tuple[Handlers, ...] = ()
        self._app = self

    def __repr__(self) -> str:
        return f"<App {self.name}: {len(self.handlers)} handlers>"

    def include(self, handlers: Handlers) -> None:
        """Take in the declarations of a module; what is declared there later counts too.

        Raises:
            DuplicateHandler: a queue would have two handlers.
            ConfigurationError: included in an app already, or a queue or pool contradicts this app's.
        """
        handlers.join(self)
        self.included = (*self.included, handlers)

    def connect(self, door: Door) -> None:
        """Send by this connection from now on; without it the usual AWS settings are taken at the first send."""
        self.sender.connect(door)

    @property
    def pools(self) -> Mapping[str, PoolOptions]:
        """All pools by name; "default" is always there."""
        return MappingProxyType({DEFAULT_POOL: PoolOptions(name=DEFAULT_POOL), **self.declared_pools})

    def pool_of(self, handler: AnyHandler) -> PoolOptions:
        """The pool that runs a handler: its own option, else the pool that lists its queue, else the default one.

        Raises:
            ConfigurationError: its option names a pool that was not declared.
        """
        pools = self.pools
        if "pool" in handler.given or handler.options.pool != DEFAULT_POOL:
            if handler.options.pool not in pools:
                raise ConfigurationError(_no_pool(handler, pools))
            return pools[handler.options.pool]
        return next((each for each in pools.values() if handler.queue_name in each.queues), pools[DEFAULT_POOL])

    def validate(self, environ: Mapping[str, str] | None = None) -> None:
        """Look at what can only be seen when everything is declared; a worker calls it before it starts.

        Args:
            environ: the environment that maps queues; None takes the process's.

        Raises:
            ConfigurationError: names everything that is wrong, one sentence each.
        """
        wrong = [*self._pools_wrong(), *self._addresses_wrong(os.environ if environ is None else environ)]
        if wrong:
            raise ConfigurationError("; ".join(wrong))

    def _pools_wrong(self) -> Iterator[str]:
        pools, handlers = self.pools, self.handlers
        for handler in handlers.values():
            if handler.options.pool not in pools:
                yield _no_pool(handler, pools)
        listed = Counter(queue for pool in pools.values() for queue in pool.queues)
        for queue, times in listed.items():
            if times > 1:
                yield f"queue {queue} is listed by {times} pools"
            if queue not in handlers:
                near = difflib.get_close_matches(queue, handlers, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                yield f"a pool lists queue {queue}, which has no handler{meant}"

    def _addresses_wrong(self, environ: Mapping[str, str]) -> Iterator[str]:
        seen: dict[str, str] = {}
        for name in self.handlers:
            address = self.queues[name].address(environ)
            if address in seen:
                yield f"queues {seen[address]} and {name} are both {address}"
            seen[address] = name


def _refuse_bare(queue: object) -> None:
    if not isinstance(queue, str):
        raise InvalidHandler("app.handler needs the name of a queue", hint='write @app.handler("orders")')


def _refuse_second_handler(handlers: Mapping[str, AnyHandler], queue: str, name: str) -> None:
    if queue in handlers:
        raise DuplicateHandler(
            f"queue {queue} has two handlers: {handlers[queue].name} and {name}", hint="one handler a queue"
        )


def _refuse_second_pool(pools: Mapping[str, PoolOptions], name: str) -> None:
    if name in pools:
        raise ConfigurationError(f"pool {name} is declared twice")


def _no_pool(handler: AnyHandler, pools: Mapping[str, PoolOptions]) -> str:
    return f"handler {handler.name} wants pool {handler.options.pool}; declared are {', '.join(pools)}"


def _refuse_other_contract(known: Queue[Any], new: Queue[Any]) -> None:
    if known.bodies.type != new.bodies.type:
        raise ConfigurationError(
            f"queue {new.name} is declared with {type_name(known.bodies.type)} and with {type_name(new.bodies.type)}"
        )


def _body_of(function: Callable[..., object]) -> Any:  # noqa: ANN401 -- whatever the annotation says
    body = signature.read(function).body
    if body is signature.MISSING or isinstance(body, str):
        raise InvalidHandler(
            f"handler {name_of(function)} does not say what its body is",
            hint="annotate the first parameter, or declare the queue with app.queue(name, Type)",
        )
    return body
