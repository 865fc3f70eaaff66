"""AddPermission and RemovePermission: statements of the queue's policy by label.

The policy is written and read back as SQS does it. Nobody is refused by it here: the local SQS has one account.
Source: SQS API Reference, AddPermission; SQS developer guide, quotas of policies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hadoken.local.state import checks
from hadoken.local.state.refusals import Refusal, invalid_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hadoken.local.state import requests
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues

ANY: Final = "*"
ACTIONS: Final = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "CreateQueue",
        "DeleteMessage",
        "DeleteMessageBatch",
        "DeleteQueue",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "RemovePermission",
        "SendMessage",
        "SendMessageBatch",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)
MAX_ACTIONS: Final = 7  # of one statement
MAX_STATEMENTS: Final = 20
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")


def add_permission(queues: Queues, request: requests.AddPermission, _client: str) -> None:
    """Let accounts do actions, under a label that is new to the policy."""
    queue = queues.find(request.queue_url)
    label = checks.required(request.label, "Label")
    accounts = _some(request.account_ids, "AWSAccountIds")
    actions = _some(request.actions, "Actions")
    _check(label, accounts, actions)
    policy = _policy(queue)
    statements = policy["Statement"]
    if any(one.get("Sid") == label for one in statements):
        raise invalid_value(label, "Label", "Already exists.")
    if len(statements) >= MAX_STATEMENTS:
        raise Refusal("OverLimit", f"{MAX_STATEMENTS} statements in a policy are the most; there are as many.")
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _single([f"arn:aws:iam::{account}:root" for account in accounts])},
            "Action": _single([f"SQS:{action}" for action in actions]),
            "Resource": queue.arn,
        }
    )
    _write(queues, queue, msgspec.json.encode(policy).decode())


def remove_permission(queues: Queues, request: requests.RemovePermission, _client: str) -> None:
    """Take the statement with a label out of the policy; a policy without statements is gone."""
    queue = queues.find(request.queue_url)
    label = checks.required(request.label, "Label")
    policy = _policy(queue)
    kept = [one for one in policy["Statement"] if one.get("Sid") != label]
    if len(kept) == len(policy["Statement"]):
        raise invalid_value(label, "Label", "can't find label on existing policy.")
    policy["Statement"] = kept
    _write(queues, queue, msgspec.json.encode(policy).decode() if kept else "")


def _check(label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
    if not _LABEL.fullmatch(label):
        reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise invalid_value(label, "Label", reason)
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise invalid_value(account, "PrincipalId", "Unable to verify.")
    for action in actions:
        if action != ANY and action not in ACTIONS:
            reason = "Please refer to the appropriate WSDL for a list of valid actions."
            raise invalid_value(f"SQS:{action}", "ActionName", reason)
    if len(actions) > MAX_ACTIONS:
        text = f"{len(actions)} Actions were found, maximum allowed is {MAX_ACTIONS}."
        raise Refusal("OverLimit", text)


def _some(values: list[str] | None, parameter: str) -> list[str]:
    """A list with something in it."""
    return checks.required(values or None, parameter)


def _policy(queue: Queue) -> dict[str, Any]:
    """The queue's policy with its statements as a list, or a new one without any."""
    text = queue.settings.texts.get("Policy")
    if text is None:
        return {"Version": "2008-10-17", "Id": f"{queue.arn}/SQSDefaultPolicy", "Statement": []}
    policy = msgspec.json.decode(text, type=dict[str, Any])  # SetQueueAttributes lets nothing else in
    found = policy.get("Statement", [])
    statements = found if isinstance(found, list) else [found]
    policy["Statement"] = [one for one in statements if isinstance(one, dict)]
    return policy


def _single(values: list[str]) -> str | list[str]:
    """One value stands alone, as SQS writes it."""
    return values[0] if len(values) == 1 else values


def _write(queues: Queues, queue: Queue, policy: str) -> None:
    queues.change(queue, {"Policy": policy})
