"""A worker where threads are no threads: it says so, and starts nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.processes import Child

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import hadoken

app = hadoken.App("letters")

@app.handler("orders")
def say(body: str) -> None: ...

hadoken.run(app, region="us-east-1", endpoint_url="http://127.0.0.1:9")
"""


def test_a_worker_refuses_greenlets(start_process: Callable[..., Child], tmp_path: Path) -> None:
    """Its loop and its handlers would be greenlets of one thread, and block each other."""
    (tmp_path / "patched.py").write_text(PROGRAM)
    child = start_process([sys.executable, str(tmp_path / "patched.py")])
    assert child.wait() == 78, child.lines
    assert any("threads are patched by gevent, and a worker needs real ones" in line for line in child.lines)
