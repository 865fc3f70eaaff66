"""Credentials as a snapshot: what its reader gets while they are renewed, cannot be, expire or are not there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.exceptions
import pytest
from botocore.credentials import DeferredRefreshableCredentials, RefreshableCredentials

from hadoken.errors import SQSDenied
from hadoken.sqs.api import NO_CREDENTIALS, Fault, fault_of
from hadoken.sqs.connection import Connection
from hadoken.sqs.credentials import NOT_RENEWED, Credentials, Keys
from hadoken.sqs.opening import Opening
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL

FIXED = Keys("AKIAEXAMPLE", "secret", None)


class Role:
    """What gives out temporary credentials: counts how often it was asked, and may fail or be slow.

    Attributes:
        life: seconds for which the next ones are good.
        trouble: raised instead.
    """

    def __init__(self, life: float = 3_600) -> None:
        self.asked = 0
        self.life = life
        self.trouble: Exception | None = None
        self.before: Callable[[], object] = int

    def __call__(self) -> dict[str, Any]:
        """Give the next ones out."""
        self.asked += 1
        self.before()
        if self.trouble is not None:
            raise self.trouble
        expiry = datetime.now(UTC) + timedelta(seconds=self.life)
        return {
            "access_key": f"ASIA{self.asked}",
            "secret_key": "secret",
            "token": f"token-{self.asked}",
            "expiry_time": expiry.isoformat(),
        }

    def source(self) -> RefreshableCredentials:
        """Credentials of botocore that come from here."""
        return RefreshableCredentials.create_from_metadata(self(), self, "test")


def test_fixed_keys_stay() -> None:
    """Nothing is asked for again, and their secret is not shown."""
    credentials = Credentials.fixed(FIXED)
    credentials.refresh()
    credentials.renew()
    assert credentials.keys == FIXED
    assert not credentials.expire
    assert "secret" not in repr(credentials.keys)


def test_keys_without_expiry_keep_nothing_of_botocore() -> None:
    """The object of botocore may hold a session; only what expires needs it. A renewal loads the keys anew."""
    found = [botocore.credentials.Credentials("A1", "s"), botocore.credentials.Credentials("A2", "s", "t")]
    credentials = Credentials(lambda: found.pop(0))
    assert (credentials.keys, credentials.expire) == (Keys("A1", "s", None), False)
    credentials.refresh()
    assert len(found) == 1, "nothing was loaded"
    credentials.renew()
    assert credentials.keys == Keys("A2", "s", "t")


def test_keys_that_expire_soon_are_refreshed() -> None:
    """Not before a quarter of an hour is left, as botocore has it."""
    role = Role()
    source = role.source()
    credentials = Credentials(lambda: source)
    assert (credentials.keys.access_key, credentials.expire) == ("ASIA1", True)
    credentials.refresh()
    assert role.asked == 1
    source._expiry_time = datetime.now(UTC) + timedelta(minutes=14)
    assert credentials.keys.access_key == "ASIA1", "reading asks for nothing"
    credentials.refresh()
    assert credentials.keys == Keys("ASIA2", "secret", "token-2")


def test_a_reader_never_waits() -> None:
    """While one thread waits for the role, and even when the keys are past their end, others get what there is."""
    role = Role()
    source = role.source()
    credentials = Credentials(lambda: source)
    source._expiry_time = datetime.now(UTC) - timedelta(seconds=1)
    asking, go = TestSignal[str]("asking"), threading.Event()
    role.before = lambda: (asking.emit("now"), go.wait(GLOBAL))
    thread = threading.Thread(target=credentials.refresh, name="refreshing")
    thread.start()
    try:
        asking.wait(1)
        assert credentials.keys.access_key == "ASIA1"
    finally:
        go.set()
        thread.join(GLOBAL)
    assert credentials.keys.access_key == "ASIA2"


@pytest.mark.parametrize(
    "trouble",
    [
        botocore.exceptions.CredentialRetrievalError(provider="role", error_msg="no route"),
        RuntimeError("still expired"),
        OSError("no network"),
    ],
)
def test_a_refresh_that_fails_leaves_what_there_is(trouble: Exception) -> None:
    """The error is worth another try, and the old keys are still there to be tried with."""
    role = Role()
    source = role.source()
    credentials = Credentials(lambda: source)
    source._expiry_time = datetime.now(UTC) + timedelta(seconds=1)
    role.trouble = trouble
    with pytest.raises(SQSDenied, match="credentials cannot be refreshed") as caught:
        credentials.refresh()
    assert (caught.value.code, caught.value.transient) == (NOT_RENEWED, True)
    assert fault_of(caught.value) is Fault.TRANSIENT
    assert credentials.keys.access_key == "ASIA1"
    role.trouble = None
    credentials.refresh()
    assert credentials.keys.access_key.startswith("ASIA")
    assert credentials.keys.access_key != "ASIA1"


def test_a_role_that_cannot_be_asked_at_first_is_asked_again() -> None:
    """What is made at boot must not fail for good because the role came up later; readers are told why meanwhile."""
    role = Role()
    role.trouble = botocore.exceptions.CredentialRetrievalError(provider="role", error_msg="no route")
    credentials = Credentials(lambda: DeferredRefreshableCredentials(role, "test"))
    assert credentials.expire
    for _ in range(2):
        with pytest.raises(SQSDenied, match="no route") as caught:
            _ = credentials.keys
        assert (caught.value.code, caught.value.transient) == (NOT_RENEWED, True)
    role.trouble = None
    credentials.refresh()
    assert credentials.keys.token


def test_no_credentials_at_all_are_looked_for_again() -> None:
    """The code is the one that ends a boot; what appears later is found by the next refresh."""
    found: list[botocore.credentials.Credentials | None] = [None, None, botocore.credentials.Credentials("A", "s")]
    credentials = Credentials(lambda: found.pop(0))
    with pytest.raises(SQSDenied, match="no AWS credentials are found") as caught:
        _ = credentials.keys
    assert (caught.value.code, caught.value.transient) == (NO_CREDENTIALS, False)
    credentials.refresh()
    with pytest.raises(SQSDenied) as again:
        _ = credentials.keys
    assert again.value.code == NO_CREDENTIALS
    credentials.refresh()
    assert credentials.keys.access_key == "A"


def test_a_broken_chain_is_no_end_of_the_loop() -> None:
    """Whatever a credential process or a plugin raises becomes one kind of error."""

    def load() -> Any:
        raise ZeroDivisionError("of a plugin")

    credentials = Credentials(load)
    with pytest.raises(SQSDenied, match="of a plugin"):
        _ = credentials.keys
    with pytest.raises(SQSDenied, match="of a plugin"):
        credentials.renew()


# ------------------------------------------------------------------------------------------------- out of an opening
@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shared files of their own, and no role; returns the file of credentials."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_a_renewal_reads_the_shared_files_anew(files: Path) -> None:
    """Some programs rewrite them when a login is renewed: a session of botocore would never look again."""
    files.write_text("[default]\naws_access_key_id = A1\naws_secret_access_key = s\n")
    credentials = Opening(Connection(region="eu-west-1")).credentials()
    assert credentials.keys == Keys("A1", "s", None)
    files.write_text("[default]\naws_access_key_id = A2\naws_secret_access_key = s\naws_session_token = t\n")
    assert credentials.keys.access_key == "A1"
    credentials.renew()
    assert credentials.keys == Keys("A2", "s", "t")


def test_a_loopback_endpoint_needs_no_account(files: Path) -> None:
    """Nobody there minds; but who has credentials signs with them."""
    connection = Connection(endpoint_url="http://127.0.0.1:9324")
    opening = Opening(connection)
    settings = opening.settings()
    assert (settings.region, settings.credentials.keys) == ("us-east-1", Keys("local", "local", None))
    files.write_text("[default]\naws_access_key_id = A1\naws_secret_access_key = s\n")
    assert Opening(connection).settings().credentials.keys.access_key == "A1"


def test_the_environment_names_the_endpoint(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_ENDPOINT_URL_SQS, FIPS and dual-stack are botocore's to read, and hold for our own transport."""
    assert not files.exists()
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert Opening(Connection(region="us-east-1")).settings().endpoint_url == "https://sqs-fips.us-east-1.amazonaws.com"
    monkeypatch.delenv("AWS_USE_FIPS_ENDPOINT")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    assert Opening(Connection(region="eu-west-1")).endpoint_url == "https://sqs.eu-west-1.api.aws"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://sqs.example/")
    assert Opening(Connection(region="eu-west-1")).endpoint_url == "https://sqs.example/"


def test_certificates_to_trust_are_those_of_botocore(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default its own bundle; else that of AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE."""
    assert not files.exists()
    for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    connection = Connection(region="eu-west-1")
    assert Opening(connection).settings().ca_bundle is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "of-requests.pem")
    assert Opening(connection).settings().ca_bundle == "of-requests.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", "of-aws.pem")
    assert Opening(connection).settings().ca_bundle == "of-aws.pem"


def test_a_users_client_gives_its_credentials() -> None:
    """They are renewed where botocore can renew them, at the first word of SQS that they have expired."""
    role = Role()
    session = botocore.session.get_session()
    session._credentials = role.source()
    client = session.create_client("sqs", region_name="eu-west-1")
    credentials = Opening(Connection(client=client)).credentials()
    assert (credentials.keys.access_key, role.asked) == ("ASIA1", 1)
    credentials.renew()
    assert (credentials.keys.access_key, role.asked) == ("ASIA2", 2)
    client.close()
