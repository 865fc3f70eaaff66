"""The local SQS behind our own transport: what boto3's client is to the other doors, both of its drivers are here."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import botocore.parsers
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError

from hadoken.errors import SQSError
from hadoken.sqs.answer import Answer
from hadoken.sqs.api import short_code
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.sqs.sockets import FastClient
from hadoken.sqs.wire import Call
from tests.support.ours import Timed, TimedServer
from tests.support.waiting import GLOBAL


def settings_for(url: str, bundle: Path | None = None) -> Settings:
    """How the transport reaches a server of ours.

    Args:
        url: of the endpoint.
        bundle: of the authority to trust.
    """
    keys = Credentials.fixed(Keys("test", "test", None))
    return Settings(url, "us-east-1", keys, ca_bundle=None if bundle is None else str(bundle), call_timeout=GLOBAL)


class Blocking(FastClient):
    """The driver with blocking sockets; it remembers its last answer."""

    last: Answer

    def _exchange(self, call: Call, data: bytes) -> Answer:
        self.last = super()._exchange(call, data)
        return self.last


class OnLoop:
    """The driver on a loop, which runs for as long as a call; it remembers its last answer.

    Args:
        settings: where SQS is.
    """

    last: Answer

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.new_event_loop()
        self.transport = FastTransport(settings, self.loop, resolve=self._resolve, offload=self._offload)
        self._read = self.transport.wire.read
        self.transport.wire.read = self._remembering  # type: ignore[method-assign] # to see the answer of a refusal

    def call(self, operation: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Make one call and wait for it."""
        return self.loop.run_until_complete(self._call(operation, parameters))

    def close(self) -> None:
        """End the connections, and the loop."""
        self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _call(self, operation: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        return await self.transport.call(operation, parameters)

    async def _end(self) -> None:
        self.transport.close()
        await asyncio.sleep(0)  # the ends of connections are told on the loop

    def _remembering(self, call: Call, answer: Answer) -> Any:
        self.last = answer
        return self._read(call, answer)

    def _resolve(self, host: str, port: int) -> asyncio.Future[Any]:
        raise AssertionError(f"an address was looked up: {host}:{port}")

    def _offload(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        future.set_result(work())
        return future


Driver = Callable[[Settings], Blocking | OnLoop]


class Fast(Timed):
    """The local SQS over HTTP or TLS by our own transport; tests that look at HTTP itself go to the same server.

    Args:
        server: in its child process; not closed here.
        driver: what makes the calls.
        bundle: PEM file of the authority of its TLS port; None speaks plain HTTP.

    Attributes:
        endpoint: where requests go.
        bundle: as given.
    """

    def __init__(self, server: TimedServer, driver: Driver, bundle: Path | None = None) -> None:
        super().__init__(server)
        self.endpoint = server.url if bundle is None else f"https://127.0.0.1:{server.ask('tls_port')}"
        self.bundle = bundle
        self.client = Spoken(driver(settings_for(self.endpoint, bundle)), self.client)


class Spoken:
    """The methods of a client of boto3, each by `call` of our own; what comes back has boto3's types.

    Args:
        driver: makes the calls; closed with this one.
        model: a client of boto3, which is asked for names and shapes only; closed with this one.
    """

    def __init__(self, driver: Blocking | OnLoop, model: Any) -> None:
        self.exceptions = model.exceptions
        self._model = model
        self._driver = driver
        service: Any = botocore.session.Session().get_service_model("sqs")
        self._shapes = {name: service.operation_model(name).output_shape for name in service.operation_names}
        self._names = {xform_name(name): name for name in service.operation_names}
        self._parser: Any = botocore.parsers.create_parser(service.resolved_protocol)

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        try:
            operation = self._names[name]
        except KeyError:
            raise AttributeError(name) from None
        return lambda **parameters: self._call(operation, parameters)

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()
        self._model.close()

    def _call(self, operation: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        shape = self._shapes[operation]
        try:
            answer = self._driver.call(operation, parameters)
        except SQSError as error:
            raise self._as_botocore(operation, error) from error
        found: dict[str, Any] = {} if shape is None else _typed(answer, shape)
        return found

    def _as_botocore(self, operation: str, error: SQSError) -> ClientError:
        """The same refusal as boto3 has it, made of the same bytes; what we made of them must agree."""
        answer = self._driver.last
        raw = {
            "status_code": answer.status,
            "headers": {name.decode(): value.decode() for name, value in answer.headers.items()},
            "body": answer.body,
        }
        theirs = self._parser.parse(raw, self._shapes[operation])
        facts = theirs["Error"]
        assert error.code == short_code(facts.get("QueryErrorCode", facts["Code"]))
        assert error.request_id == theirs["ResponseMetadata"]["RequestId"]
        assert facts["Message"] in str(error)
        made: type[ClientError] = self.exceptions.from_code(facts.get("QueryErrorCode", facts["Code"]))
        return made(theirs, operation)


def _typed(value: Any, shape: Any) -> Any:
    """JSON with the types of a shape: bytes for base64; what the shape does not know is an error of ours or theirs."""
    if shape.type_name == "structure":
        return {name: _typed(one, shape.members[name]) for name, one in value.items()}
    if shape.type_name == "list":
        return [_typed(one, shape.member) for one in value]
    if shape.type_name == "map":
        return {name: _typed(one, shape.value) for name, one in value.items()}
    return base64.b64decode(value, validate=True) if shape.type_name == "blob" else value
