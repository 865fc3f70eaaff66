"""The tags of a queue: tag, untag, list. They mean nothing to SQS itself.

Source: SQS API Reference, TagQueue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state import answers, checks

if TYPE_CHECKING:
    from hadoken.local.state import requests
    from hadoken.local.state.queues import Queues


def tag_queue(queues: Queues, request: requests.TagQueue, _client: str) -> None:
    """Add tags to a queue, or give those it has new values; all or none."""
    queue = queues.find(request.queue_url)
    queue.tags = checks.tags(queue.tags, checks.required(request.tags, "Tags"), queue.name)
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
