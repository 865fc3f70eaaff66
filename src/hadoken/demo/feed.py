"""Work for the app: one message for each Python file of a folder."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from hadoken.demo.app import app, files
from hadoken.demo.source import listing, standard_library
from hadoken.local.finding import usual_or_local


def feed(library: Path | None = None) -> int:
    """Send a message for each Python file of a folder (the standard library by default) to the queue `files`.

    It goes where `hadoken send` would send: to AWS by the usual settings, or to the local SQS where there are none.

    Returns:
        How many messages were sent.

    Raises:
        SQSError, BatchFailed: not all of them were accepted.

    Thread: any; blocks until SQS has answered for all.
    """
    connection = usual_or_local()
    app.connect(connection)
    root = (library or standard_library()).absolute()  # the worker may run in another folder
    bodies = listing(root, uuid.uuid4().hex[:8])
    files.send_many(bodies)
    where = f"the local SQS at {connection.endpoint_url}" if connection.anonymous else "SQS"
    sys.stderr.write(f"{len(bodies)} files of {root} sent to queue {files.name} of {where}\n")
    return len(bodies)
