"""The tags of a queue: tag, untag, list. They mean nothing to SQS itself.

Source: SQS API Reference, TagQueue; SQS developer guide, cost allocation tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hadoken.local import answers, checks
from hadoken.local.refusals import invalid, invalid_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local import requests
    from hadoken.local.queues import Queues

MAX_TAGS: Final = 50  # per queue
_KEY: Final = 128
_VALUE: Final = 256
_CHARACTERS: Final = re.compile(r"[\w\s.:/=+\-@]*")
_RESERVED: Final = "aws:"


def tag_queue(queues: Queues, request: requests.TagQueue, _client: str) -> None:
    """Add tags to a queue, or give those it has new values; all or none."""
    queue = queues.find(request.queue_url)
    queue.tags = merged(queue.tags, checks.required(request.tags, "Tags"), queue.name)
    queue.note()


def untag_queue(queues: Queues, request: requests.UntagQueue, _client: str) -> None:
    """Take tags off a queue; those it has not are no error."""
    queue = queues.find(request.queue_url)
    gone = set(checks.required(request.tag_keys, "TagKeys"))
    queue.tags = {key: value for key, value in queue.tags.items() if key not in gone}
    queue.note()


def list_queue_tags(queues: Queues, request: requests.OnQueue, _client: str) -> answers.QueueTags:
    """The tags of a queue."""
    return answers.QueueTags(dict(queues.find(request.queue_url).tags))


def merged(tags: Mapping[str, str], added: Mapping[str, str], name: str) -> dict[str, str]:
    """Tags with others added to them.

    Args:
        tags: as they are.
        added: to be checked.
        name: of the queue, for the message.

    Raises:
        Refusal: a key or value that SQS does not take, or more than 50 in all.
    """
    for key, value in added.items():
        _check(key, value)
    found = {**tags, **added}
    if len(found) > MAX_TAGS:
        raise invalid(f"Too many tags added for queue {name}.")
    return found


def _check(key: str, value: str) -> None:
    if not 1 <= len(key) <= _KEY:
        raise invalid(f"Tag keys must be between 1 and {_KEY} characters in length.")
    if len(value) > _VALUE:
        raise invalid(f"Tag values must be between 0 and {_VALUE} characters in length.")
    if key.lower().startswith(_RESERVED):
        raise invalid_value(key, "Tags", f"Tag keys cannot start with {_RESERVED}")
    if not _CHARACTERS.fullmatch(key) or not _CHARACTERS.fullmatch(value):
        raise invalid_value(key, "Tags", "Tags can only include letters, digits, white space and _ . : / = + - @")
