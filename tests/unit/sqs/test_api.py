from __future__ import annotations

import pytest

from hadoken.sqs.api import EntryFailure, Fault, classify, fault_of, sqs_error

EXPIRED = "Signature expired: 20260102T030405Z is now earlier than 20260102T031000Z (20260102T032500Z - 15 min.)"
EARLY = "Signature not yet current: 20260102T040000Z is still later than 20260102T034000Z (20260102T032500Z + 15 min.)"
WRONG = "The request signature we calculated does not match the signature you provided."


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "com.amazon.coral.service#InvalidSignatureException"])
@pytest.mark.parametrize(
    ("message", "fault"), [(EXPIRED, Fault.REFRESH), (EARLY, Fault.REFRESH), (WRONG, Fault.DENIED), ("", Fault.DENIED)]
)
def test_a_clock_that_is_off_is_no_wrong_key(code: str, message: str, fault: Fault) -> None:
    """A request refused for its date is worth another try, alone and for each entry of a batch; a wrong key is not."""
    assert classify(code, message, 403) is fault
    error = sqs_error("DeleteMessageBatch", code, message, status=403)
    assert error.transient == (fault is Fault.REFRESH)
    assert fault_of(error) is fault
    assert EntryFailure(error.code, str(error), sender_fault=not error.transient).fault is fault


def test_the_words_alone_do_not_make_it_a_matter_of_clocks() -> None:
    """The words of a clock that is off count under the names of a refused signature only."""
    assert classify("AccessDenied", EXPIRED, 403) is Fault.DENIED
