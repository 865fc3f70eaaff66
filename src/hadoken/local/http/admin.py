"""The private addresses of a local SQS server: what it says of itself, and the fault script that is set there.

What only looks is answered to everybody who reaches the server. What changes something is refused to other machines
(403), and to web pages, which browsers name in the header Origin.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local import faultscript
from hadoken.local.http.protocol import Reply, refused
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.local.faults import Faults
    from hadoken.local.http.connection import HTTPRequest
    from hadoken.local.state.queues import Queues

PREFIX: Final = "/_hadoken/"
_FAULTS: Final = PREFIX + "faults"
_EVENTS: Final = PREFIX + "events"
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_MOST: Final = 10**18  # of a number in an address; more digits would be slow to read


class Admin:
    """Answers at the private addresses.

    Args:
        queues: whose events and counters are shown.
        faults: what is shown and set.
        connections: how many there are.
        parked: how many long polls wait.

    Thread: the server's loop.
    """

    def __init__(
        self, queues: Queues, faults: Faults, *, connections: Callable[[], int], parked: Callable[[], int]
    ) -> None:
        self._queues = queues
        self._faults = faults
        self._connections = connections
        self._parked = parked

    def answer(self, request: HTTPRequest, host: str) -> Reply:
        """Do one request.

        Args:
            request: any that is not for SQS.
            host: the address it comes from.
        """
        try:
            parts = urlsplit(request.path)
        except ValueError:  # such as brackets that enclose no address
            return _not_found(request.path)
        if request.method == b"GET":
            found = self._look(parts.path, parts.query)
            return _not_found(parts.path) if found is None else Reply(200, msgspec.json.encode(found))
        changes = {(b"POST", _FAULTS): self._set, (b"DELETE", _FAULTS): self._clear, (b"POST", _EVENTS): self._write}
        change = changes.get((request.method, parts.path))
        if change is None:
            return _not_found(parts.path)
        if not _on_this_machine(host) or b"origin" in request.headers:
            text = "Only a program on the machine of the local SQS may change it."
            return refused(Refusal("AccessDeniedException", text))._replace(status=_FORBIDDEN)
        return change(request.body)

    def _look(self, path: str, query: str) -> object | None:
        if path == PREFIX + "counters":
            return self._queues.counters.snapshot()
        if path == _EVENTS:
            since = parse_qs(query).get("since", ["0"])[0]
            number = int(since) if since.isdecimal() and len(since) < len(str(_MOST)) else 0
            return {"total": self._queues.log.total, "events": self._queues.log.since(number)}
        if path == PREFIX + "state":
            return self._state()
        if path == _FAULTS:
            return faultscript.described(self._faults)
        return None

    def _state(self) -> dict[str, object]:
        queues = {
            queue.name: {"visible": queue.visible, "in_flight": queue.in_flight, "delayed": queue.delayed}
            for queue in self._queues
        }
        return {"connections": self._connections(), "parked": self._parked(), "queues": queues}

    def _set(self, body: bytes) -> Reply:
        try:
            script = faultscript.read(body, "fault script")
        except ConfigurationError as error:
            return refused(Refusal("InvalidParameterValueException", str(error)))
        self._faults.set(script.rules, seed=script.seed)
        return self._said()

    def _clear(self, _body: bytes) -> Reply:
        self._faults.clear()
        return self._said()

    def _said(self) -> Reply:
        return Reply(200, msgspec.json.encode(faultscript.described(self._faults)))

    def _write(self, body: bytes) -> Reply:
        """Switch the writing of calls: `{"calls": true}`."""
        try:
            self._queues.log.calls = msgspec.json.decode(body, type=dict[str, bool])["calls"]
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
            return refused(Refusal("InvalidParameterValueException", 'What can be set is {"calls": true} or false.'))
        return Reply(200, msgspec.json.encode({"calls": self._queues.log.calls}))


def _on_this_machine(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _not_found(path: str) -> Reply:
    text = f"Nothing is at {path}; SQS takes POST requests at /."
    return refused(Refusal("UnknownOperationException", text))._replace(status=_NOT_FOUND)
