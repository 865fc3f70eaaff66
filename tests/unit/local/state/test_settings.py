from __future__ import annotations

import pytest

from hadoken.local.state.refusals import Refusal
from hadoken.local.state.settings import NAMES, Settings, changed, fifo_wanted


def nowhere(_arn: str) -> bool:
    """No queue exists."""
    return False


def test_what_is_written_is_read_back() -> None:
    """What is written is read back."""
    settings = changed(Settings(), {"DelaySeconds": "7", "Policy": "{}", "KmsMasterKeyId": "key"}, nowhere)
    assert (settings.delay, settings.texts) == (7, {"Policy": "{}", "KmsMasterKeyId": "key"})
    assert {"DelaySeconds": "7", "Policy": "{}"}.items() <= settings.attributes().items()
    assert set(settings.attributes()) <= NAMES
    assert changed(settings, {"Policy": ""}, nowhere).texts == {"KmsMasterKeyId": "key"}


def test_a_fifo_queue_has_attributes_of_its_own() -> None:
    """A FIFO queue has attributes of its own."""
    settings = changed(
        Settings(fifo=True),
        {"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup"},
        nowhere,
    )
    assert (
        settings.attributes().items()
        >= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true",
            "FifoThroughputLimit": "perQueue",
            "DeduplicationScope": "messageGroup",
        }.items()
    )
    with pytest.raises(Refusal, match="ContentBasedDeduplication"):
        changed(settings, {"ContentBasedDeduplication": "yes"}, nowhere)


@pytest.mark.parametrize(
    ("name", "attributes", "shape"),
    [
        ("a", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("a", {"FifoQueue": "yes"}, "InvalidAttributeValue"),
        ("a" * 81, {}, "InvalidParameterValueException"),
        ("a b", {}, "InvalidParameterValueException"),
        ("a" * 76 + ".fifo", {"FifoQueue": "true"}, "InvalidParameterValueException"),
    ],
)
def test_a_name_and_its_kind_are_checked_together(name: str, attributes: dict[str, str], shape: str) -> None:
    """A name and its kind are checked together."""
    with pytest.raises(Refusal) as caught:
        fifo_wanted(name, attributes)
    assert caught.value.shape == shape


def test_a_bad_change_changes_nothing() -> None:
    """A bad change changes nothing."""
    before = Settings()
    with pytest.raises(Refusal, match="VisibilityTimeout"):
        changed(before, {"DelaySeconds": "7", "VisibilityTimeout": "-1"}, nowhere)
    assert before == Settings()


@pytest.mark.parametrize("text", ["9" * 5_000, "-1", "", " 7", "\u0667", "7.0"])
def test_a_number_is_digits_and_not_too_many(text: str) -> None:
    """Also where Python would refuse to read so many, or read other digits."""
    with pytest.raises(Refusal, match="DelaySeconds"):
        changed(Settings(), {"DelaySeconds": text}, nowhere)
