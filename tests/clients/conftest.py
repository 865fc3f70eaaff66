"""A local SQS that verifies signatures, and the programs of others that are to talk to it, where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import processes

CLIENTS = processes.ROOT / ".cache" / "clients"
KEYS = {"boto3": "secret of boto3", "node": "secret of node", "cli": "secret of cli"}


def installed(name: str) -> Path:
    """The folder of a client; skips the test, with the reason that its installation left, where it is not installed."""
    if not (CLIENTS / f"{name}.stamp").exists():
        reason = CLIENTS / f"{name}.reason"
        said = reason.read_text(encoding="utf-8", errors="replace").strip() if reason.exists() else ""
        pytest.skip(f"{name} is not installed; `make clients` said: {said[-300:] or 'nothing, as it was not run'}")
    return CLIENTS / name


@pytest.fixture
def endpoint(start_hadoken: Callable[..., processes.Child]) -> Iterator[str]:
    """The URL of a `hadoken local` that requires signatures: what every client does right, they do right here."""
    keys = [word for name, secret in KEYS.items() for word in ("--access-key", f"{name}:{secret}")]
    server = start_hadoken("local", "--port", "0", "--require-signature", *keys)
    yield server.wait_for_line(r"^(http://\S+)$").group(1)
    assert server.terminate() == 0


@pytest.fixture
def aws(endpoint: str, tmp_path: Path, start_process: Callable[..., processes.Child]) -> Callable[..., processes.Child]:
    """Start the AWS CLI with words, against that server; it reads no configuration of whoever runs the tests."""
    program = installed("aws-cli") / "bin" / "aws"
    environment = {
        "AWS_ACCESS_KEY_ID": "cli",
        "AWS_SECRET_ACCESS_KEY": KEYS["cli"],
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }

    def start(*words: str) -> processes.Child:
        # By option: for SQS, version 1 does not look at AWS_ENDPOINT_URL_SQS. https://github.com/aws/aws-cli/issues/8737
        return start_process([str(program), "--endpoint-url", endpoint, *words], env=environment, cwd=tmp_path)

    return start


@pytest.fixture
def node(tmp_path: Path, start_process: Callable[..., processes.Child]) -> Callable[..., processes.Child]:
    """Run a module of JavaScript, given as text, with the AWS SDK beside it."""
    modules = installed("node") / "node_modules"
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node on the path")

    def start(text: str, *words: str) -> processes.Child:
        module = tmp_path / "program.mjs"
        module.write_text(text, encoding="utf-8")
        (tmp_path / "node_modules").symlink_to(modules)
        return start_process([program, str(module), *words], env={"NODE_NO_WARNINGS": "1"}, cwd=tmp_path)

    return start


@pytest.fixture(autouse=True)
def _no_region_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
