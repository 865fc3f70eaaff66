"""An exception of user code, from its report to its end.

Its traceback holds frames, and these hold the message, its body and whatever the handler had in hand; a frame that has
the exception in a local makes a cycle, which lives until the garbage collector comes by. So a failure is written down
as text once, and then its frames are emptied (I8).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from hadoken import limits

# The files between a handler thread and the user's function; they are the same in every traceback.
_OURS: Final = frozenset(str(Path(__file__).with_name(name)) for name in ("handler.py", "signature.py"))
# Enough for a hundred frames; a recursion error or an exception with a 1 MiB message must not flood the log.
TRACEBACK_CHARACTERS: Final = 16_384
# The end names the exception and the innermost frames, so the beginning is what is cut short.
_HEAD: Final = 4_096
# A verdict's reason travels in a message attribute; this keeps it far from the 1 MiB of a message.
REASON_CHARACTERS: Final = 1_024


def describe(error: BaseException) -> str:
    """The traceback as text, with causes and members, at most 16 KiB; the middle is what is left out. Never raises."""
    try:
        frames = _from_user_code(error.__traceback__)
        text = "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
    except Exception as failure:  # noqa: BLE001 -- the exception's own methods are user code
        return f"{type(error).__name__} (its traceback cannot be written: {type(failure).__name__})"
    if len(text) <= TRACEBACK_CHARACTERS:
        return text
    cut = "\n  [... cut ...]\n"
    return text[:_HEAD] + cut + text[_HEAD + len(cut) - TRACEBACK_CHARACTERS :]


def _from_user_code(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not ours on; all of it where every frame is ours."""
    frame = frames
    while frame is not None and frame.tb_frame.f_code.co_filename in _OURS:
        frame = frame.tb_next
    return frame or frames


def reason_of(error: BaseException) -> str:
    """What failed: class and words, at most 1,024 characters, all of which SQS takes. Never raises."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 -- __str__ is user code
        words = "(no words: its __str__ failed)"
    name = type(error).__name__
    return clean_reason(f"{name}: {words}" if words else name)


def clean_reason(reason: str) -> str:
    """A reason that fits in a message attribute: shortened, and with U+FFFD for every character that SQS refuses."""
    return limits.REFUSED_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", str(reason)[:REASON_CHARACTERS])


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside a group, at any depth, in order; the exception itself if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def forget(error: BaseException) -> None:
    """Empty the frames of an exception, its causes and members, and take the tracebacks off. Never raises.

    Frames that still run are left alone. An exception that user code keeps stays usable, without its traceback.
    """
    waiting, seen = [error], {id(error)}
    while waiting:
        each = waiting.pop()
        if each.__traceback__ is not None:
            traceback.clear_frames(each.__traceback__)
            each.__traceback__ = None
        linked = [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            linked += each.exceptions
        for other in linked:
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
