"""The Python standard library as work for a queue: an app of two queues, shown whole in `hadoken.demo.app`.

`python` is the one that has hadoken, such as .venv/bin/python. In one terminal run the worker, with a local SQS and no
AWS account:

    python -m hadoken run examples.library_index:app --local

In another give it work, once for each Python file of the standard library (or of a folder that is named):

    python examples/library_index.py [FOLDER]

and ask what it knows:

    python -m hadoken.demo.query 'JSON*coder'

HADOKEN_LIBRARY_INDEX names another file for the index. `hadoken demo` does all of this at once, and checks it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hadoken.demo.app import app
from hadoken.demo.feed import feed

__all__ = ["app"]

if __name__ == "__main__":
    feed(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
