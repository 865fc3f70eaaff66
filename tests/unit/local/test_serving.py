"""`hadoken.local.serve()`, the options of its child, and those of `hadoken local`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hadoken.local
from hadoken.cli import local as cli_local
from hadoken.errors import ConfigurationError
from hadoken.local import faultscript, logfile
from hadoken.local.faults import Faults, Rule
from hadoken.local.finding import answers
from hadoken.local.http import server
from hadoken.local.inprocess import LocalSQS
from hadoken.local.state.eventlog import Event, EventLog, What
from hadoken.local.state.profile import HARSH
from hadoken.sqs.api import DeleteBatch, Receive, SendBatch, SendEntry
from tests.support.local_sqs import Sqs, boto3_client
from tests.support.refused import refused


def test_a_block_has_a_local_sqs_with_faults_and_a_log(tmp_path: Path) -> None:
    """The rules act, calls and events are in the file, and nobody answers behind the block."""
    log = tmp_path / "events.jsonl"
    rule = Rule(operation="SendMessage", nth=2, code="OverLimit")
    with hadoken.local.serve(profile="harsh", seed=3, faults=[rule], log=log) as url:
        sqs = Sqs(boto3_client(url), list)
        queue = sqs.queue()
        sqs.send(queue, "one")
        with refused("OverLimit"):
            sqs.send(queue, "two")
        sqs.client.close()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert not answers(url)
    assert [(one["what"], one.get("operation", ""), one.get("fault", "")) for one in lines] == [
        ("call", "CreateQueue", ""),
        ("sent", "", ""),
        ("call", "SendMessage", ""),
        ("call", "SendMessage", "OverLimit"),
    ]


def test_a_script_with_a_mistake_ends_the_child(tmp_path: Path) -> None:
    """A child that cannot read its script does not start."""
    script = tmp_path / "faults.json"
    script.write_text('[{"cod": "X"}]')
    with pytest.raises(ConfigurationError, match="did not start"), hadoken.local.serve(faults=script):
        pass
    with pytest.raises(AttributeError, match="serv"):
        _ = hadoken.local.serv


def test_a_script_is_read_from_toml(tmp_path: Path) -> None:
    """TOML says the same as JSON; what is neither, and a file that is not there, is an error that names the file."""
    toml = tmp_path / "faults.toml"
    toml.write_text('seed = 7\n[[rules]]\noperation = "ReceiveMessage"\nanswer = "hang"\nfrom = 1\nfor = 2.5\n')
    rule = Rule(operation="ReceiveMessage", answer="hang", from_=1, for_=2.5)
    assert faultscript.load(toml) == ((rule,), 7)
    assert [rule.lasts(at) for at in (0.9, 1, 3.4, 3.5)] == [False, True, True, False]
    for name, text in (("a.toml", "= ="), ("b.json", "{"), ("c.json", "7"), ("d.json", '{"seed": "x"}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=name):
            faultscript.load(tmp_path / name)
    for text in ('[{"operation": "*"}]', '{"rules": 1}', "[7]", '[{"code": "X", "status": 9}]'):
        (tmp_path / "e.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"e\.json"):
            faultscript.load(tmp_path / "e.json")
    with pytest.raises(ConfigurationError, match="gone"):
        faultscript.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", ""), ("::1", ""), ("0.0.0.0", "every machine"), ("box", "box")]
)
def test_the_command_hands_its_options_on_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, warned: str
) -> None:
    """Whoever listens beyond loopback is told who can reach the server; with --log - the URL leaves standard output."""
    script = tmp_path / "faults.json"
    script.write_text('{"seed": 5, "rules": [{"code": "X"}]}')
    given: dict[str, object] = {}

    def run(host: str, port: int, *, ready: Callable[[str], None], log: EventLog, **more: object) -> None:
        given.update(more, host=host, port=port)
        ready(f"http://{host}:1")
        log.write(Event(at=0, what=What.SENT, queue="q", id="x"))

    monkeypatch.setattr(server, "run", run)
    words = ["--host", host, "--port", "0", "--profile", "harsh", "--seed", "9", "--faults", str(script), "--log", "-"]
    said = CliRunner().invoke(cli_local.command, words, catch_exceptions=False)
    line = json.loads(said.stdout)
    assert line.pop("time") > 0
    assert line == {"at": 0.0, "what": "sent", "queue": "q", "id": "x"}
    assert f"http://{host}:1" in said.stderr
    assert ("not on loopback" in said.stderr) == bool(warned)
    assert warned in said.stderr
    assert given["profile"] is HARSH
    faults = given["faults"]
    assert isinstance(faults, Faults)
    assert (given["seed"], faults.seed, len(faults)) == (9, 5, 1)


def test_a_log_that_cannot_be_written_ends_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is told once, and the local SQS goes on; a file that cannot be opened is an error."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 -- a device
        sqs = LocalSQS(log=EventLog(on_event=logfile.LogFile(full), calls=True))
        url = sqs.create_queue("a")
        for _ in range(2):
            sqs.execute(SendBatch(url, [SendEntry("x")]))
        assert caplog.text.count("cannot be written") == 1
        with pytest.raises(OSError, match="space"):
            full.close()
    with logfile.to_file("/dev/full") as log:
        log.write(Event(at=0.0, what=What.SENT, queue="a", id="x"))
    assert caplog.text.count("cannot be written") == 2
    with pytest.raises(ConfigurationError, match="nowhere"), logfile.to_file(str(tmp_path / "nowhere" / "log")):
        pass


def test_deleted_is_a_subset_of_received_in_the_log_of_calls() -> None:
    """In process, too, each call stands in the log that is asked for calls, with what failed it."""
    sqs = LocalSQS(log=EventLog(calls=True), faults=Faults([Rule(operation="DeleteMessageBatch", code="", nth=1)]))
    url = sqs.create_queue("a")
    sqs.execute(SendBatch(url, [SendEntry("x"), SendEntry("y")]))
    handles = [one.receipt_handle for one in sqs.execute(Receive(url, 10, 0, 30)).messages]
    with pytest.raises(Exception, match="no answer"):
        sqs.execute(DeleteBatch(url, handles))
    sqs.execute(DeleteBatch(url, handles[:1]))
    log = sqs.queues.log.since()
    ids = {what: {event.id for event in log if event.what == what} for what in What}
    assert ids[What.DELETED] < ids[What.RECEIVED]
    calls = [event for event in log if event.what is What.CALL]
    assert [getattr(call, "status", None) for call in calls] == [200, 200, 0, 200]
    assert [getattr(call, "entries", None) for call in calls] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"profile": "mean"}, "profile is 'mean'; there are aws and harsh"),
        ({"seed": "x"}, "seed is 'x'; it is a whole number"),
        ({"port": "x"}, "port is 'x'; it is a whole number"),
        ({"faults": "missing.json"}, "the fault script missing.json cannot be read"),
        ({"log": "missing/log"}, "the event log .*missing/log cannot be written"),
        ({"data": "missing/data"}, "the data file .*missing/data cannot be opened"),
        ({"faults": [Rule(code="")] * 2 + [Rule(queue="q")]}, "nothing would go wrong"),
    ],
)
def test_the_sentence_of_the_child_is_the_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: dict[str, Any],
    said: str,
) -> None:
    """What is wrong with an argument is said by the error itself; nothing else is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=said), hadoken.local.serve(**arguments):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_log_is_continued(tmp_path: Path) -> None:
    """A second server writes behind the first, each line with the wall clock."""
    log = tmp_path / "log"
    for _ in range(2):
        with hadoken.local.serve(log=log) as url, urllib.request.urlopen(f"{url}/_hadoken/state"):
            queue = urllib.request.Request(
                url,
                b'{"QueueName":"q"}',
                {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.CreateQueue"},
            )
            urllib.request.urlopen(queue).close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["operation"] for line in lines if line["what"] == "call"] == ["CreateQueue"] * 2
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert lines[0]["time"] > 1_700_000_000


def test_a_host_that_is_no_address(capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence names the host, not a port."""
    with pytest.raises(ConfigurationError, match=r"300\.1\.1\.1: that is no address of this machine"):
        CliRunner().invoke(cli_local.command, ["--host", "300.1.1.1", "--port", "0"], catch_exceptions=False)


def test_a_server_that_wants_signatures_says_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines to copy name the key that is known, never its secret, and no command that signs with another."""

    def run(host: str, port: int, *, ready: Callable[[str], None], **_: object) -> None:
        ready(f"http://{host}:{port}")

    monkeypatch.setattr(server, "run", run)
    words = ["--port", "9324", "--require-signature", "--access-key", "AKTEST:hush"]
    said = CliRunner().invoke(cli_local.command, words, catch_exceptions=False).stderr
    assert 'aws_access_key_id="AKTEST"' in said
    assert "AWS_ACCESS_KEY_ID=AKTEST" in said
    assert "hush" not in said
    assert "--local" not in said
