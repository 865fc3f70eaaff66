"""Who is compared: the program of each, the environment it runs in, and whether that is there."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".cache" / "peers"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to consume a queue.

    Attributes:
        name: as shown.
        program: a module of `benchmarks.programs`.
        place: the environment, a folder of `.cache/peers`; "" takes the interpreter that runs the benchmark.
        packages: those whose versions are shown.
        transport: asked of hadoken; "" elsewhere.
        batches: whether the framework can send several messages with one call.
        mandatory: whether a benchmark without it is one.
        messages: of a run with no-op handlers; each run takes one to four seconds.
    """

    name: str
    program: str
    place: str
    packages: tuple[str, ...]
    transport: str = ""
    batches: bool = True
    mandatory: bool = False
    messages: int = 2_000

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(PEERS / self.place / "env" / "bin" / "python") if self.place else sys.executable

    @property
    def missing(self) -> str:
        """Why it cannot be measured, as the installer put it; "" when it can."""
        if not self.place or (PEERS / self.place / "peer.stamp").exists():
            return ""
        reason = PEERS / self.place / "reason"
        said = reason.read_text(encoding="utf-8").strip().splitlines() if reason.exists() else []
        return said[-1] if said else "never installed; `make peers` does"

    def versions(self) -> dict[str, str]:
        """Of its packages and its Python, asked of its own interpreter."""
        asks = (
            "import platform, sys; from importlib.metadata import version; "
            "print(platform.python_version(), *map(version, sys.argv[1:]))"
        )
        said = subprocess.run(  # noqa: S603 -- ours
            [self.python, "-c", asks, *self.packages], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return dict(zip(("Python", *self.packages), said.stdout.split(), strict=True))


HADOKEN = (
    Contender("hadoken", "hadoken_worker", "hadoken", ("hadoken", "botocore"), "fast", mandatory=True, messages=20_000),
    Contender(
        "hadoken, uvloop",
        "hadoken_worker",
        "hadoken-uvloop",
        ("hadoken", "uvloop"),
        "fast",
        mandatory=True,
        messages=20_000,
    ),
    Contender(
        "hadoken, botocore",
        "hadoken_worker",
        "hadoken",
        ("hadoken", "botocore"),
        "botocore",
        mandatory=True,
        messages=4_000,
    ),
)
PEER = (
    Contender("boto3 loop", "boto3_loop", "boto3", ("boto3",), mandatory=True, messages=4_000),
    Contender("Celery", "celery_worker", "celery", ("celery", "kombu"), batches=False, mandatory=True, messages=1_000),
    Contender(
        "dramatiq",
        "dramatiq_worker",
        "dramatiq",
        ("dramatiq", "dramatiq-sqs"),
        batches=False,
        mandatory=True,
        messages=1_000,
    ),
    Contender("fanferro", "fanferro_worker", "fanferro", ("fanferro",), mandatory=True, messages=10_000),
    Contender("taskiq", "taskiq_worker", "taskiq", ("taskiq", "taskiq-aio-sqs"), messages=1_000),
    Contender("sqs-workers", "sqs_workers_worker", "sqs-workers", ("sqs-workers",), messages=2_000),
    Contender(
        "django-tasks-sqs", "django_tasks_worker", "django-tasks", ("django", "django-tasks-sqs"), messages=1_000
    ),
)
ALL = (*HADOKEN, *PEER)


def named(name: str) -> Contender:
    """The contender of a name."""
    return next(each for each in ALL if each.name == name)


def environment(ca: str = "") -> dict[str, str]:
    """Variables of a measured program: no account, no file of the user, no address of a role's credentials."""
    trust = {"AWS_CA_BUNDLE": ca, "SSL_CERT_FILE": ca} if ca else {}
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        **trust,
    }
