"""The command line in real processes: running, sending, and what is said when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hadoken.local.finding import look_at
from hadoken.testing import leftovers
from tests.support import ports
from tests.support.processes import Child
from tests.support.waiting import GLOBAL, wait_until

Start = Callable[..., Child]

APP = """
import sys
import hadoken

app = hadoken.App("letters")
handlers = hadoken.Handlers()
number = 7
orders = app.queue("orders", str)
steps = app.queue("steps.fifo", str)

@orders.handler(visibility_timeout=77)
def say(body: str, message: hadoken.Message[str]) -> None:
    print("heard", body, sorted(message.attributes.items()), "rich" in sys.modules, flush=True)

@steps.handler
def step(body: str) -> None:
    print("step", body, flush=True)
"""

# What an installation without an account looks like; the role of an EC2 instance is not asked for.
NO_ACCOUNT = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_COLOR": "1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module `shop` that has an app, and one that is broken."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "broken.py").write_text("def inner():\n    return 1 / 0\n\ninner()\n")
    (tmp_path / "lost.py").write_text("import a_module_that_nobody_has\n")
    (tmp_path / "wrong.py").write_text(
        "import hadoken\n"
        "app = hadoken.App('wrong')\n"
        "@app.handler('orders', retries=3)\n"
        "def charge(body: str) -> None: ...\n"
    )
    return tmp_path


@pytest.fixture
def start(start_hadoken: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start `hadoken` in the folder, without an account, with a default port of its own."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "HADOKEN_")):
            monkeypatch.delenv(name)
    port = str(ports.free_port())

    def starts(*words: str, **env: str) -> Child:
        return start_hadoken(*words, env={**NO_ACCOUNT, "HADOKEN_LOCAL_PORT": port, **env}, cwd=folder)

    return starts


def url_in(child: Child) -> str:
    """The endpoint of the local SQS that a worker has told."""
    return child.wait_for_line(r"local SQS at (http://\S+)")[1]


def test_a_worker_with_its_own_sqs_handles_what_is_sent(start: Start, folder: Path) -> None:
    """`run --local` makes queues, `send` finds them without being told, SIGTERM drains, and the SQS ends after that."""
    worker = start("run", "shop:app", "--local", "--concurrency", "2", "--wait-time", "1")
    url = url_in(worker)
    worker.wait_for_line("receiving from orders, steps.fifo")
    (sqs,) = worker.children()

    sender = start("send", "orders", "first", "-a", "kind=test")
    assert sender.wait() == 0
    assert [f"no AWS credentials: sending to the local SQS at {url}"] == sender.err
    assert len(sender.out) == 1  # the message's id
    worker.wait_for_line(r"heard first \[.*'kind', 'test'.*\] False")

    (folder / "body.txt").write_text("from a file")
    assert start("send", "orders", "@body.txt", "--local").wait() == 0
    worker.wait_for_line("heard from a file")
    assert start("send", "steps.fifo", "one", "--message-group-id", "g", "--count", "3").wait() == 0
    assert wait_until(lambda: bool(worker.read()) and worker.out.count("step one") == 3)

    budget = worker.wait_for_line(r"threads +(\d+) = ")[1]
    assert len(worker.threads()) == int(budget)
    assert worker.terminate() == 0
    assert worker.err[-1] == "hadoken: drained, nothing left in flight"
    assert not Path(f"/proc/{sqs}").exists()


def test_queues_are_made_as_an_operator_would_make_them(start: Start) -> None:
    """Each queue has a dead-letter queue after five receives, and the visibility timeout of its handler, else 30 s."""
    from hadoken.local.finding import connection_to
    from hadoken.sqs.boto import BotoClient

    worker = start("run", "shop:app", "--local", "--wait-time", "1")
    url = url_in(worker)
    worker.wait_for_line("receiving from")
    client = BotoClient(connection_to(url))
    for name, letters, timeout in (("orders", "orders-dlq", "77"), ("steps.fifo", "steps-dlq.fifo", "30")):
        found = client.queue_attributes(client.queue_url(name))
        policy = json.loads(found["RedrivePolicy"])
        assert (found["VisibilityTimeout"], int(policy["maxReceiveCount"])) == (timeout, 5)
        assert policy["deadLetterTargetArn"].endswith(f":{letters}")
    client.close()
    assert worker.interrupt() == 0


def test_a_killed_worker_takes_its_sqs_along(start: Start) -> None:
    """However the worker dies, its local SQS ends by itself."""
    worker = start("run", "shop:app", "--local")
    worker.wait_for_line("receiving from")
    (sqs,) = worker.children()
    worker.kill()
    assert wait_until(lambda: leftovers.command_line(sqs) == "")


def test_the_sqs_is_out_of_reach_of_the_terminal(start: Start) -> None:
    """Ctrl-C goes to the worker's process group; the local SQS is in another, so that the worker can drain."""
    worker = start("run", "shop:app", "--local", "--wait-time", "1")
    worker.wait_for_line("receiving from")
    (sqs,) = worker.children()
    assert os.getpgid(sqs) != worker.pid
    os.killpg(worker.pid, signal.SIGINT)
    assert worker.wait() == 0
    assert worker.err[-1] == "hadoken: drained, nothing left in flight"


def test_a_running_local_sqs_is_used_and_left_running(start: Start) -> None:
    """`hadoken local` serves boto3 and a worker that comes and goes; SIGTERM ends it."""
    sqs = start("local")
    url = sqs.wait_for_line(r"^(http://127\.0\.0\.1:\d+)$")[1]
    sqs.wait_for_line("boto3.client")
    for _ in range(2):  # the second finds the queues there
        worker = start("run", "shop:app", "--local", "--wait-time", "1")
        worker.wait_for_line("which was running already")
        worker.wait_for_line("receiving from")
        assert worker.children() == {}
        assert worker.terminate() == 0
    assert set((look_at(url, "state") or {})["queues"]) == {"orders", "orders-dlq", "steps.fifo", "steps-dlq.fifo"}
    assert sqs.terminate() == 0


@pytest.mark.parametrize("words", [("run", "shop:app", "--local"), ("local",)])
def test_a_port_that_another_program_has_is_one_sentence(start: Start, words: tuple[str, ...]) -> None:
    """A stranger on the port: one sentence that names it, exit 78."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        child = start(*words, HADOKEN_LOCAL_PORT=str(port))
        assert child.wait() == 78
    assert child.lines == child.err
    assert len(child.err) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in child.err[0]


def test_all_missing_queues_are_named_in_one_line(start: Start) -> None:
    """A worker whose queues do not exist says which, in which region and at which endpoint, and exits 78."""
    sqs = start("local")
    url = sqs.wait_for_line(r"^(http://127\.0\.0\.1:\d+)$")[1]
    account = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    worker = start("run", "shop:app", "--endpoint-url", url, "--region", "eu-west-3", **account)
    assert worker.wait() == 78
    said = [line for line in worker.err if "missing" in line]
    assert len(said) == 1
    assert all(word in said[0] for word in ("orders", "steps.fifo", "eu-west-3", url))
    assert not any("Traceback" in line for line in worker.lines)

    sender = start("send", "nowhere", "x", "--endpoint-url", url, "--region", "eu-west-3", **account)
    assert sender.wait() == 78
    assert len(sender.lines) == 1
    assert all(word in sender.err[0] for word in ("nowhere", "eu-west-3", url)), sender.err
    assert sqs.interrupt() == 0


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("shop", 2, "'shop' is not MODULE:APP; such as shop:app"),
        ("./shop.py:app", 2, "is a path; name the module: shop:app"),
        ("shpo:app", 78, "there is no module shpo (did you mean shop?)"),
        ("shop.billing:app", 78, "there is no module billing in shop"),
        ("shop:ap", 78, "shop has no attribute ap (did you mean shop:app?)"),
        ("shop:number", 78, "shop:number is an int, not a hadoken.App (did you mean shop:app?)"),
        (
            "shop:handlers",
            78,
            "shop:handlers is a Handlers, not a hadoken.App (take it into an app with app.include(...))",
        ),
        ("json:loads", 78, "json:loads is a function, not a hadoken.App (that module has no app"),
    ],
)
def test_a_target_that_cannot_be_is_one_sentence(start: Start, target: str, code: int, said: str) -> None:
    """What was found instead, a suggestion, no traceback."""
    child = start("run", target)
    assert child.wait() == code
    assert said in child.err[-1]
    assert len(child.err) == 1 or code == 2  # click shows the usage above its own
    assert not any("Traceback" in line for line in child.lines)


@pytest.mark.parametrize(
    ("module", "last", "frames"),
    [
        ("broken", "ZeroDivisionError: division by zero", 2),
        ("lost", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'", 1),
        ("wrong", "retries", 1),
    ],
)
def test_a_module_that_raises_shows_its_own_frames(
    start: Start, folder: Path, module: str, last: str, frames: int
) -> None:
    """The traceback has the user's frames only, and the exit code is 78."""
    child = start("run", f"{module}:app")
    assert child.wait() == 78
    assert last in child.err[-1]
    files = [line for line in child.err if line.startswith("  File ")]
    assert len(files) == frames
    assert all(str(folder) in line for line in files)


def test_what_cannot_be_typed_is_refused_before_anything_runs(start: Start) -> None:
    """Unknown commands and impossible values exit 2 with the reason; the nearest command is named."""
    for words, said in (
        (("sned", "q", "b"), "did you mean send?"),
        (("run", "shop:app", "--drain-timeout", "soon"), "no duration"),
        (("run", "shop:app", "--local", "--endpoint-url", "http://x"), "two places"),
        (("run", "shop:app", "--concurrency", "0"), "0 is out of range; write a whole number, 1 to 1000"),
        (("run", "shop:app", "--concurrency", "ten"), "'ten' is no number; write a whole number, 1 to 1000"),
        (("run", "shop:app", "--queues", " , "), "names no queue"),
        (("send", "orders", "x", "-a", "novalue"), "NAME=VALUE"),
        (("send", "orders", "@nothing.txt"), "No such file"),
        (("send", "orders", "\x01"), "U+0001"),
    ):
        child = start(*words)
        assert child.wait() == 2, words
        assert said in "\n".join(child.err), words
        assert not any("Traceback" in line for line in child.lines), words


def test_without_a_local_sqs_it_is_said_so(start: Start) -> None:
    """`send --local` where none runs: one sentence, exit 69; without credentials, exit 3 and how to get them."""
    child = start("send", "orders", "x", "--local")
    assert child.wait() == 69
    assert "no local SQS answers" in child.err[0]
    child = start("send", "orders", "x", "--region", "eu-west-3")
    assert child.wait() == 3
    assert "credentials" in child.err[0]
    assert len(child.lines) == 1


def test_credentials_lead_to_aws_and_never_to_the_local_sqs(start: Start) -> None:
    """Who has credentials or an endpoint is never led to the local SQS, though one runs."""
    sqs = start("local")
    url = sqs.wait_for_line(r"^(http://127\.0\.0\.1:\d+)$")[1]
    with ports.refusing_port() as port:
        away = {"AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "eu-west-3"}
        account = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        for env in (away | account, away):
            child = start("send", "orders", "x", **env)
            assert child.wait() in {3, 69}
            assert "local SQS at" not in "\n".join(child.lines)
    assert (look_at(url, "counters") or {}).get("SendMessageBatch") is None
    assert sqs.terminate() == 0


def test_a_hint_of_the_local_sqs_works_as_it_is_printed(start: Start, folder: Path) -> None:
    """What is printed for hadoken and for boto3 is typed in another terminal, where nothing is set up, and works."""
    sqs = start("local")
    sqs.wait_for_line("Ctrl-C ends it")
    sentence = "\n".join(sqs.err)
    client = sentence.partition("boto3      ")[2].partition("aws cli")[0]
    made = start_python(f"import boto3\nprint({client}.create_queue(QueueName='QUEUE')['QueueUrl'])", folder)
    assert made.returncode == 0, made.stderr
    words = re.search(r"^ +(HADOKEN_LOCAL_PORT=.*send QUEUE BODY --local)$", sentence, re.MULTILINE)
    assert words is not None, sentence
    bare = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
    sent = subprocess.run(
        ["sh", "-c", words[1]], env=bare, cwd=folder, capture_output=True, timeout=GLOBAL, check=False
    )
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert sqs.terminate() == 0


def start_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run some Python to its end, with no settings of AWS."""
    bare = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=bare, cwd=folder, capture_output=True, text=True, timeout=GLOBAL, check=False)


def test_nothing_is_made_before_all_is_checked(start: Start) -> None:
    """A queue that has no handler is said with the nearest that has one, before a local SQS is started."""
    child = start("run", "shop:app", "--local", "--queues", "ordres")
    assert child.wait() == 78
    assert child.lines == [
        "hadoken: no handler for queue ordres; there are handlers for orders, steps.fifo (did you mean orders?)"
    ]


def test_a_local_worker_makes_what_it_serves_and_is_quick_to_end(start: Start) -> None:
    """`--queues` leaves the other queues unmade; polls wait 2 s; -v shows each handler with its options."""
    worker = start("run", "shop:app", "--local", "--queues", "orders", "-v")
    worker.wait_for_line(r"DEBUG hadoken\.cli queue orders \(orders\): handler .*say, .*visibility_timeout 77")
    url = url_in(worker)
    worker.wait_for_line("polls wait 2 s")
    worker.wait_for_line("receiving from orders")
    assert set((look_at(url, "state") or {})["queues"]) == {"orders", "orders-dlq"}
    assert worker.interrupt() == 0


def test_a_worker_does_not_load_what_only_a_terminal_needs(start_process: Start, folder: Path) -> None:
    """Declaring loads neither click, rich nor botocore; the command `run` loads click only."""
    code = "import sys, hadoken, shop; print(sorted({'click', 'rich', 'botocore'} & set(sys.modules)))"
    child = start_process([sys.executable, "-c", code], cwd=folder)
    assert child.wait() == 0
    assert child.out == ["[]"]
    code = (
        "import sys\nfrom hadoken.cli.main import main\n"
        "try:\n    main(['run', 'shop:nothing'])\nexcept SystemExit:\n"
        "    import hadoken.worker.worker\n    print(sorted({'click', 'rich', 'botocore'} & set(sys.modules)))"
    )
    child = start_process([sys.executable, "-c", code], cwd=folder)
    assert child.wait() == 0
    assert child.out == ["['click']"]
