"""SQS through botocore: a client that blocks its caller, and fixed threads that make it serve the engine.

Rules of this file:
- A request is sent once; botocore's own retries are off, since retry policy lives above the seam.
- botocore's errors end here, translated `from exc`.
- `BotoTransport` starts its threads when it is made and no other ever. A botocore call cannot be aborted: it ends by
  its read time-out, which for a poll is its wait plus two seconds.
"""

# A connection opens itself, by an import of its own once it is asked to.
# pyright: reportImportCycles=false
from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.exceptions
import botocore.session

from hadoken.errors import SQSDenied, SQSError, SQSUnavailable
from hadoken.sqs.answer import seconds_of
from hadoken.sqs.api import (
    NO_CREDENTIALS,
    Attribute,
    BatchAnswer,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Receive,
    Received,
    ReceivedMessage,
    SendBatch,
    SendEntry,
    SentBatch,
    sqs_error,
)
from hadoken.sqs.clients import check_client, make_client, with_made_up_identity
from hadoken.sqs.entries import failures, sent_ids, to_change, to_delete, to_send
from hadoken.sqs.exchange import Exchange, is_way_clear
from hadoken.sqs.reading import damage, is_whole
from hadoken.sqs.settings import CALL_TIMEOUT, CONNECT_TIMEOUT, POLL_GRACE

if TYPE_CHECKING:
    from hadoken.sqs.connection import Connection

log = logging.getLogger("hadoken.sqs")

T = TypeVar("T")
Answer = dict[str, Any]


class BotoClient:
    """SQS for the calling thread.

    Args:
        connection: where SQS is and who we are. A client of the user makes all calls itself, with its own time-outs
            and retries, and stays open when this is closed.
        wait_time: the longest wait a poll will ask for, in seconds; sets the read time-out of polls.
        connections: how many threads will call at once; more are served, but their connections are not kept.
        session: of botocore, whose settings count; None makes a fresh one.

    Thread: any, several at once; every call blocks until the answer, at most its time-out.
    Raises: `ConfigurationError` when made without a region; `SQSError` from the calls.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        wait_time: float = 20,
        connections: int = 64,
        session: botocore.session.Session | None = None,
    ) -> None:
        self._exchanges: list[Exchange] = []
        self._given = connection.client is not None
        self._check_md5 = connection.check_md5
        if self._given:
            check_client(connection.client)
            self._calls = self._polls = connection.client
            return
        session = session or botocore.session.get_session()
        connection = with_made_up_identity(session, connection)
        poll_timeout = wait_time + POLL_GRACE
        self._calls = make_client(session, connection, read=CALL_TIMEOUT, connections=connections)
        self._polls = make_client(session, connection, read=poll_timeout, connections=connections)
        for client, read in ((self._calls, CALL_TIMEOUT), (self._polls, poll_timeout)):
            self._send_lean(session, client, read)

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        return str(self._calls.meta.endpoint_url)

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return str(self._calls.meta.region_name)

    def receive(self, request: Receive) -> Received:
        """See `api.SQS.receive`."""
        extra = {"ReceiveRequestAttemptId": request.attempt_id} if request.attempt_id else {}
        answer = self._call(
            "ReceiveMessage",
            self._polls.receive_message,
            QueueUrl=request.queue_url,
            MaxNumberOfMessages=request.max_messages,
            WaitTimeSeconds=request.wait_time,
            VisibilityTimeout=request.visibility_timeout,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            **extra,
        )
        date = str(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        found = answer.get("Messages") or ()
        messages = [
            message
            for message, one in ((_message(one), one) for one in found)
            if not self._check_md5 or is_whole(message, one.get("MD5OfBody"), one.get("MD5OfMessageAttributes"))
        ]
        return Received(messages, seconds_of(date.encode("latin-1", "replace")))

    def delete_batch(self, request: DeleteBatch) -> BatchAnswer:
        """See `api.SQS.delete_batch`."""
        entries = to_delete(request)
        answer = self._call(
            "DeleteMessageBatch", self._calls.delete_message_batch, QueueUrl=request.queue_url, Entries=entries
        )
        return BatchAnswer(_failed(answer, len(entries)))

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> BatchAnswer:
        """See `api.SQS.change_visibility_batch`."""
        entries = to_change(request)
        answer = self._call(
            "ChangeMessageVisibilityBatch",
            self._calls.change_message_visibility_batch,
            QueueUrl=request.queue_url,
            Entries=entries,
        )
        return BatchAnswer(_failed(answer, len(entries)))

    def send_batch(self, request: SendBatch) -> SentBatch:
        """See `api.SQS.send_batch`."""
        entries = to_send(request)
        answer = self._call(
            "SendMessageBatch", self._calls.send_message_batch, QueueUrl=request.queue_url, Entries=entries
        )
        told = {str(one.get("Id")): str(one.get("MessageId", "")) for one in answer.get("Successful") or ()}
        failed = _failed(answer, len(entries))
        if self._check_md5:
            failed = _damaged(answer, request.entries) | dict(failed)
        return SentBatch(sent_ids(told, failed, len(entries)), failed)

    def queue_url(self, name: str) -> str:
        """See `api.SQS.queue_url`."""
        return str(self._call("GetQueueUrl", self._calls.get_queue_url, QueueName=name)["QueueUrl"])

    def queue_attributes(self, queue_url: str) -> Mapping[str, str]:
        """See `api.SQS.queue_attributes`."""
        answer = self._call(
            "GetQueueAttributes", self._calls.get_queue_attributes, QueueUrl=queue_url, AttributeNames=["All"]
        )
        return dict(answer.get("Attributes") or {})

    def create_queue(self, name: str, attributes: Mapping[str, str]) -> str:
        """Create a queue, or find it when it exists with the same attributes; returns its URL."""
        answer = self._call("CreateQueue", self._calls.create_queue, QueueName=name, Attributes=dict(attributes))
        return str(answer["QueueUrl"])

    def refresh_credentials(self) -> None:
        """Renew credentials that are about to expire; blocks for a request where they come from a role."""
        credentials = self._calls._request_signer._credentials  # noqa: SLF001 -- a client gives them nowhere else
        if credentials is None:
            return
        try:
            credentials.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise SQSDenied(f"credentials cannot be refreshed: {error}", operation="credentials") from error

    def close(self) -> None:
        """Close idle connections; calls under way end by themselves. A client of the user is left as it is."""
        if not self._given:
            self._calls.close()
            self._polls.close()
        for exchange in self._exchanges:
            exchange.close()

    def _send_lean(self, session: botocore.session.Session, client: Any, read: float) -> None:  # noqa: ANN401 -- botocore makes its classes at run time
        """Have a client's requests sent by us, a third cheaper than by botocore; not where the way is not clear."""
        if not is_way_clear(str(client.meta.endpoint_url)):
            return
        ca_bundle = session.get_config_variable("ca_bundle")
        exchange = Exchange(connect_timeout=CONNECT_TIMEOUT, read_timeout=read, ca_bundle=ca_bundle)
        client.meta.events.register("before-send.sqs", exchange)
        self._exchanges.append(exchange)

    @staticmethod
    def _call(operation: str, method: Callable[..., Answer], **arguments: object) -> Answer:
        try:
            return method(**arguments)
        except botocore.exceptions.ClientError as error:
            raise _translated(operation, error) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise SQSDenied(
                f"{operation} failed: {error}",
                operation=operation,
                code=NO_CREDENTIALS,
                hint="configure AWS credentials, or use the local SQS with --local",
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise SQSUnavailable(
                f"{operation} failed: {error}", operation=operation, code=type(error).__name__, transient=True
            ) from error
        except Exception as error:  # whatever a proxy, a TLS library or a user's hook on botocore raises
            raise SQSUnavailable(
                f"{operation} failed: {type(error).__name__}: {error}",
                operation=operation,
                code=type(error).__name__,
                transient=True,
            ) from error


Work = Callable[[], None]


class BotoTransport:
    """`api.SQS` over a `BotoClient`, by threads that are fixed from the start.

    Args:
        client: what makes the calls.
        loop: the engine's loop, on which all methods are called and all futures live.
        spawn: starts one thread with (name, body); called `threads` times, here.
        threads: one for each open poll, and two so that deletes and extensions never wait behind polls.
    """

    def __init__(
        self,
        client: BotoClient,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[str, Callable[[], None]], object],
        threads: int,
    ) -> None:
        self._client = client
        self._loop = loop
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads = threads
        for number in range(1, threads + 1):
            spawn(f"hadoken-sqs-{number}", self._run)

    def receive(self, request: Receive) -> asyncio.Future[Received]:
        """See `api.SQS.receive`."""
        return self._submit(self._client.receive, request)

    def delete_batch(self, request: DeleteBatch) -> asyncio.Future[BatchAnswer]:
        """See `api.SQS.delete_batch`."""
        return self._submit(self._client.delete_batch, request)

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> asyncio.Future[BatchAnswer]:
        """See `api.SQS.change_visibility_batch`."""
        return self._submit(self._client.change_visibility_batch, request)

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        return self._submit(self._client.send_batch, request)

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        return self._submit(self._client.queue_url, name)

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:
        """See `api.SQS.queue_attributes`."""
        return self._submit(self._client.queue_attributes, queue_url)

    def close(self) -> None:
        """Let every thread end after the call it is in."""
        for _ in range(self._threads):
            self._work.put(None)

    def _submit(self, call: Callable[[Any], T], argument: object) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                answer = call(argument)
            except SQSError as error:
                self._reply(_fail, future, error.with_traceback(None))
            except Exception as error:
                log.exception("an answer of SQS could not be read")
                text = f"an answer of SQS could not be read: {type(error).__name__}: {error}"
                self._reply(_fail, future, SQSUnavailable(text, code="UnreadableAnswer", transient=True))
            else:
                self._reply(_succeed, future, answer)

        self._work.put(work)
        return future

    def _reply(
        self, settle: Callable[[asyncio.Future[T], Any], None], future: asyncio.Future[T], value: object
    ) -> None:
        try:
            self._loop.call_soon_threadsafe(settle, future, value)
        except RuntimeError:  # the loop was closed at the stop deadline: nobody waits for this answer any more
            log.debug("an answer of SQS came after the engine had ended")

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work
        self._client.close()  # by each thread: connections that are in use now close after their answer


def _succeed(future: asyncio.Future[T], answer: T) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[Any], error: SQSError) -> None:
    if not future.done():
        future.set_exception(error)


def _translated(operation: str, error: botocore.exceptions.ClientError) -> SQSError:
    facts: Mapping[str, Any] = error.response.get("Error", {})
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    return sqs_error(
        operation,
        str(facts.get("QueryErrorCode") or facts.get("Code") or ""),
        str(facts.get("Message") or ""),
        status=int(metadata.get("HTTPStatusCode") or 400),
        request_id=str(metadata.get("RequestId") or ""),
    )


def _message(one: Answer) -> ReceivedMessage:
    attributes = one.get("MessageAttributes")
    return ReceivedMessage(
        one["MessageId"],
        one["ReceiptHandle"],
        one.get("Body", ""),
        one.get("Attributes") or {},
        {name: _attribute(value) for name, value in attributes.items()} if attributes else {},
    )


def _attribute(value: Answer) -> Attribute:
    return Attribute(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))


def _failed(answer: Answer, entries: int) -> Mapping[int, EntryFailure]:
    failed = {
        str(one.get("Id")): EntryFailure(
            str(one.get("Code", "")), str(one.get("Message", "")), bool(one.get("SenderFault"))
        )
        for one in answer.get("Failed") or ()
    }
    return failures(failed, {str(one.get("Id")) for one in answer.get("Successful") or ()}, entries)


def _damaged(answer: Answer, entries: Sequence[SendEntry]) -> dict[int, EntryFailure]:
    """What SQS got damaged, by position."""
    done = {str(one.get("Id")): one for one in answer.get("Successful") or ()}
    found: dict[int, EntryFailure] = {}
    for at, entry in enumerate(entries):
        one = done.get(str(at), {})
        failure = damage(entry, one.get("MD5OfMessageBody"), one.get("MD5OfMessageAttributes"))
        if failure is not None:
            found[at] = failure
    return found
