"""The numbers of SQS, each with its source, and the checks that need nothing else.

Sources: [D] SQS developer guide and the API model of botocore 1.44; [A] answers recorded from AWS by public test
suites.
"""

from __future__ import annotations

import re
from typing import Final

# A message: body plus names, types and values of its attributes, in bytes of UTF-8. [D A]
MESSAGE_BYTES: Final = 1_048_576
# All entries of one SendMessageBatch together. [D A]
BATCH_BYTES: Final = 1_048_576
BATCH_ENTRIES: Final = 10
RECEIVE_MESSAGES: Final = 10
ATTRIBUTES: Final = 10

WAIT_TIME: Final = (0, 20)
DELAY: Final = (0, 900)
VISIBILITY: Final = (0, 43_200)
# 12 h is a total since the receive, not a bound of each change. [D; aws-sdk-net #794]
VISIBILITY_TOTAL: Final = 43_200
RETENTION: Final = (60, 1_209_600)
QUEUE_BYTES: Final = (1_024, 1_048_576)

DEFAULT_VISIBILITY: Final = 30
DEFAULT_RETENTION: Final = 345_600

QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
# MessageGroupId, MessageDeduplicationId, ReceiveRequestAttemptId: alphanumerics and punctuation, no space. [A]
TOKEN: Final = re.compile(r"[!-~]{1,128}")
ATTRIBUTE_NAME: Final = re.compile(r"(?!(?i:aws\.|amazon\.))(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
ATTRIBUTE_TYPE: Final = re.compile(r"(String|Number|Binary)(\..+)?", re.DOTALL)

# What a body or a String value must not hold: everything outside #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD
# #x10000-#x10FFFF. [A]
REFUSED_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_fifo(queue: str) -> bool:
    """Whether a queue's name, URL or ARN names a FIFO queue: by the suffix, without asking SQS."""
    return queue.endswith(".fifo")


def utf8_bytes(text: str) -> int:
    """Length of `text` in UTF-8; lone surrogates count three bytes (they are refused elsewhere)."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def refused_character(text: str) -> str:
    """The first character of `text` that SQS refuses, or "" if there is none."""
    found = REFUSED_CHARACTER.search(text)
    return found.group() if found else ""
