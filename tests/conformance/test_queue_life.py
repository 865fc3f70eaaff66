from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from hadoken.local.state.operations import OPERATIONS
from hadoken.local.state.permissions import ACTIONS
from hadoken.local.state.profile import HARSH
from tests.support.local_sqs import Sqs
from tests.support.ours import Ours
from tests.support.refused import PREFIX, invalid, missing, refused

NO_QUEUE = ("QueueDoesNotExist", PREFIX + "NonExistentQueue")


def name_of(url: str) -> str:
    """The name of a queue."""
    return url.rpartition("/")[2]


def create_again(sqs: Sqs, url: str) -> str:
    """Create a queue under the name of another one."""
    fifo = {"FifoQueue": "true"} if url.endswith(".fifo") else {}
    return str(sqs.client.create_queue(QueueName=name_of(url), Attributes=fifo)["QueueUrl"])


def attributes(sqs: Sqs, url: str) -> dict[str, str]:
    """All attributes of a queue."""
    found: dict[str, str] = sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def configure(sqs: Sqs, url: str, **values: object) -> None:
    """Set attributes; what is no text is written as JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes=texts)


@pytest.mark.parametrize("fifo", [False, True])
def test_62_a_purge_drops_what_is_visible_delayed_and_in_flight(sqs: Sqs, fifo: bool) -> None:
    """A purge drops what is visible, delayed and in flight."""
    url = sqs.queue(fifo=fifo)
    options = {"MessageGroupId": "g"} if fifo else {}
    sqs.send(url, "a", **options)
    (held,) = sqs.receive(url)
    sqs.send(url, "b", **options)
    if not fifo:
        sqs.send(url, "c", DelaySeconds=600)
    assert sum(sqs.counts(url)) == (2 if fifo else 3)
    sqs.client.purge_queue(QueueUrl=url)
    assert sqs.counts(url) == (0, 0, 0)
    assert sqs.bodies(url) == []
    if sqs.ours:  # what AWS answers to these is not recorded
        sqs.delete(url, held)
        with invalid("not available for visibility timeout change"):
            sqs.change(url, held, 0)


@pytest.mark.differs("ministack", aws="Recorded: a purge also forgets deduplication ids.")
def test_62_what_was_purged_can_be_sent_again_under_its_deduplication_id(sqs: Sqs) -> None:
    """What was purged can be sent again under its deduplication id."""
    url = sqs.queue(fifo=True)
    message = {"MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    sqs.client.send_message(QueueUrl=url, **message)
    sqs.client.purge_queue(QueueUrl=url)
    sqs.client.send_message(QueueUrl=url, **message)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.differs(
    "ministack",
    "roto-aws",
    aws="PurgeQueueInProgress: the queue previously received a PurgeQueue request within the last 60 seconds.",
)
@pytest.mark.parametrize("after", [0, pytest.param(59, marks=pytest.mark.needs_time(59))])
def test_62_a_second_purge_within_a_minute_is_refused(sqs: Sqs, after: int) -> None:
    """A second purge within a minute is refused, and drops nothing; another queue can be purged."""
    url, other = sqs.queue(), sqs.queue()
    sqs.client.purge_queue(QueueUrl=url)
    sqs.send(url, "kept")
    sqs.advance(after)
    with refused("PurgeQueueInProgress", PREFIX + "PurgeQueueInProgress", name_of(url), 403) as facts:
        sqs.client.purge_queue(QueueUrl=url)
    assert facts["status"] == 403
    sqs.client.purge_queue(QueueUrl=other)
    assert sqs.bodies(url) == ["kept"]


@pytest.mark.needs_time(60)
def test_62_after_a_minute_a_queue_can_be_purged_again(sqs: Sqs) -> None:
    """After a minute a queue can be purged again, counted from the purge that was not refused."""
    url = sqs.queue()
    sqs.client.purge_queue(QueueUrl=url)
    sqs.send(url, "x")
    sqs.advance(50)
    with refused("PurgeQueueInProgress", PREFIX + "PurgeQueueInProgress"):
        sqs.client.purge_queue(QueueUrl=url)
    sqs.advance(10)
    sqs.client.purge_queue(QueueUrl=url)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "ministack",
    "roto-aws",
    aws="The Smithy model of SQS declares QueueDoesNotExist for every operation that names a queue.",
)
def test_64_a_deleted_queue_is_gone_for_every_operation(sqs: Sqs) -> None:
    """A deleted queue is gone for every operation, by whatever name it is called."""
    url = sqs.queue()
    arn = sqs.arn(url)
    sqs.send(url, "x")
    sqs.client.delete_queue(QueueUrl=url)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("delete_queue", {}),
        ("purge_queue", {}),
        ("receive_message", {"WaitTimeSeconds": 20}),
        ("send_message", {"MessageBody": "x"}),
        ("get_queue_attributes", {"AttributeNames": ["All"]}),
        ("list_queue_tags", {}),
        ("list_dead_letter_source_queues", {}),
    ]
    for called in (url, arn, name_of(url)):
        for call, options in calls:
            with refused(*NO_QUEUE, status=400):
                getattr(sqs.client, call)(QueueUrl=called, **options)
    with refused(*NO_QUEUE):
        sqs.client.get_queue_url(QueueName=name_of(url))
    assert "QueueUrls" not in sqs.client.list_queues(QueueNamePrefix=name_of(url))


@pytest.mark.ours
@pytest.mark.parametrize("fifo", [False, True])
def test_64_under_the_same_name_another_queue_begins_empty(sqs: Sqs, fifo: bool) -> None:
    """Under the same name another queue begins empty, with default attributes, and knows no handle of the old one."""
    url = sqs.queue({"VisibilityTimeout": "77"}, fifo=fifo)
    options = {"MessageGroupId": "g"} if fifo else {}
    sqs.send(url, "old", "old too", **options)
    (held,) = sqs.receive(url, 1)
    sqs.client.tag_queue(QueueUrl=url, Tags={"a": "b"})
    sqs.client.delete_queue(QueueUrl=url)
    assert create_again(sqs, url) == url
    assert attributes(sqs, url)["VisibilityTimeout"] == "30"
    assert "Tags" not in sqs.client.list_queue_tags(QueueUrl=url)
    assert sqs.counts(url) == (0, 0, 0)
    sqs.send(url, "new", **options)
    for use in (sqs.delete, lambda url, held: sqs.change(url, held, 0)):
        with refused("ReceiptHandleIsInvalid", status=404):
            use(url, held)
    assert sqs.bodies(url) == ["new"]


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "QueueDeletedRecently: you must wait 60 seconds after deleting a queue before you can create another queue "
        "with the same name."
    ),
)
@pytest.mark.parametrize("after", [0, pytest.param(59, marks=pytest.mark.needs_time(59))])
def test_64_a_name_cannot_be_used_again_within_a_minute(sqs: Sqs, after: int) -> None:
    """A name cannot be used again within a minute of its queue's deletion; at ours, where the profile says so."""
    if isinstance(sqs, Ours):
        sqs.reset(profile=HARSH)
    url, other = sqs.queue(), sqs.queue()
    sqs.client.delete_queue(QueueUrl=url)
    sqs.advance(after)
    with refused("QueueDeletedRecently", PREFIX + "QueueDeletedRecently", "60 seconds", 400):
        create_again(sqs, url)
    assert create_again(sqs, other) == other  # it is there


@pytest.mark.needs_time(60)
def test_64_a_name_is_free_after_a_minute(sqs: Sqs) -> None:
    """A name is free a minute after its queue's deletion."""
    if isinstance(sqs, Ours):
        sqs.reset(profile=HARSH)
    url = sqs.queue()
    sqs.client.delete_queue(QueueUrl=url)
    sqs.advance(60)
    assert create_again(sqs, url) == url


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "ListDeadLetterSourceQueues returns a list of your queues that have the RedrivePolicy queue "
        "attribute configured with a dead-letter queue; set MaxResults to receive a value for NextToken."
    ),
)
def test_60_a_queue_lists_its_sources_in_pages(sqs: Sqs) -> None:
    """A dead-letter queue lists its sources in pages: all, none twice, and a removed policy counts no more."""
    target = sqs.queue()
    policy = {"RedrivePolicy": {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": 3}}
    sources = sorted(sqs.queue(policy) for _ in range(5))
    sqs.queue()
    assert sqs.client.list_dead_letter_source_queues(QueueUrl=target)["queueUrls"] == sources
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while not pages or token:
        page = sqs.client.list_dead_letter_source_queues(QueueUrl=target, MaxResults=2, **token)
        pages.append(page["queueUrls"])
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [url for page in pages for url in page] == sources
    configure(sqs, sources[0], RedrivePolicy="")
    sqs.client.delete_queue(QueueUrl=sources[1])
    assert sqs.client.list_dead_letter_source_queues(QueueUrl=target)["queueUrls"] == sources[2:]
    assert not sqs.client.list_dead_letter_source_queues(QueueUrl=sources[2]).get("queueUrls")


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "ListDeadLetterSourceQueues returns a list of your queues that have the RedrivePolicy queue "
        "attribute configured with a dead-letter queue; set MaxResults to receive a value for NextToken."
    ),
)
def test_60_tokens_and_page_sizes_that_are_none_are_refused(sqs: Sqs) -> None:
    """Tokens and page sizes that are none are refused, a token of another queue too."""
    target, other = sqs.queue(), sqs.queue()
    policy = {"RedrivePolicy": {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": 3}}
    for _ in range(2):
        sqs.queue(policy)
    token = sqs.client.list_dead_letter_source_queues(QueueUrl=target, MaxResults=1)["NextToken"]
    for bad in ("garbage", "", "ä", token[:-4]):
        with invalid("NextToken"):
            sqs.client.list_dead_letter_source_queues(QueueUrl=target, NextToken=bad)
    with invalid("NextToken"):
        sqs.client.list_dead_letter_source_queues(QueueUrl=other, NextToken=token)
    with invalid("NextToken"):
        sqs.client.list_queues(NextToken=token)
    for size in (0, 1_001):
        with invalid("MaxResults"):
            sqs.client.list_dead_letter_source_queues(QueueUrl=target, MaxResults=size)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "denyAll - No source queues can specify this queue as the dead-letter queue; byQueue - only queues "
        "specified by the sourceQueueArns parameter can."
    ),
)
def test_60_deny_all_and_by_queue_refuse_sources(sqs: Sqs) -> None:
    """The policy of a dead-letter queue refuses sources, whether they are created so or changed later."""
    source, wanted, target = sqs.queue(), sqs.queue(), sqs.queue()
    policy = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": 3}
    configure(sqs, target, RedriveAllowPolicy={"redrivePermission": "denyAll"})
    for url in (source, wanted):
        with invalid("RedrivePolicy"):
            configure(sqs, url, RedrivePolicy=policy, DelaySeconds="9")
    with invalid("RedrivePolicy"):
        sqs.client.create_queue(QueueName="denied", Attributes={"RedrivePolicy": json.dumps(policy)})
    with refused(*NO_QUEUE):
        sqs.client.get_queue_url(QueueName="denied")
    assert attributes(sqs, source)["DelaySeconds"] == "0"
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [sqs.arn(wanted)]}
    configure(sqs, target, RedriveAllowPolicy=allow)
    assert json.loads(attributes(sqs, target)["RedriveAllowPolicy"]) == allow
    configure(sqs, wanted, RedrivePolicy=policy)
    with invalid("RedrivePolicy"):
        configure(sqs, source, RedrivePolicy=policy)
    configure(sqs, target, RedriveAllowPolicy={"redrivePermission": "allowAll"})
    configure(sqs, source, RedrivePolicy=policy)
    configure(sqs, target, RedriveAllowPolicy="")
    assert "RedriveAllowPolicy" not in attributes(sqs, target)
    assert len(sqs.client.list_dead_letter_source_queues(QueueUrl=target)["queueUrls"]) == 2


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "denyAll - No source queues can specify this queue as the dead-letter queue; byQueue - only queues "
        "specified by the sourceQueueArns parameter can."
    ),
)
@pytest.mark.parametrize(
    "policy",
    [
        "no JSON",
        [],
        {},
        {"redrivePermission": "some"},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "byQueue", "sourceQueueArns": []},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:q"] * 11},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["a name"]},
        {"redrivePermission": "denyAll", "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:q"]},
    ],
)
def test_60_a_redrive_allow_policy_that_is_none_is_refused(sqs: Sqs, policy: object) -> None:
    """A redrive allow policy that is none is refused."""
    url = sqs.queue()
    with refused("InvalidAttributeValue", words="RedriveAllowPolicy", status=400):
        configure(sqs, url, RedriveAllowPolicy=policy)
    assert "RedriveAllowPolicy" not in attributes(sqs, url)


@pytest.mark.ours  # AWS does not say what a token of another prefix is answered
def test_66_a_token_belongs_to_its_prefix_and_outlives_the_queue_it_names(sqs: Sqs) -> None:
    """A token belongs to its prefix, and the queue that it names may be gone."""
    urls = sorted(sqs.queue() for _ in range(3))
    page = sqs.client.list_queues(QueueNamePrefix=sqs.prefix, MaxResults=1)
    for bad in ("garbage", "eyJ4IjoxfQ==", ""):
        with invalid("NextToken"):
            sqs.client.list_queues(QueueNamePrefix=sqs.prefix, NextToken=bad)
    with invalid("NextToken"):
        sqs.client.list_queues(QueueNamePrefix="other", NextToken=page["NextToken"])
    with invalid("NextToken"):
        sqs.client.list_queues(NextToken=page["NextToken"])
    sqs.client.delete_queue(QueueUrl=page["QueueUrls"][0])
    found = sqs.client.list_queues(QueueNamePrefix=sqs.prefix, NextToken=page["NextToken"])["QueueUrls"]
    assert set(urls) - {page["QueueUrls"][0]} <= set(found)
    assert page["QueueUrls"][0] not in found
    with invalid("MaxResults"):
        sqs.client.list_queues(MaxResults=0)


@pytest.mark.ours
def test_5_a_queue_is_found_by_url_name_and_arn(sqs: Sqs) -> None:
    """A queue is found by URL, whatever its host, by name and by ARN; one that only looks alike is not."""
    url = sqs.queue()
    path = "/".join(url.split("/")[-2:])
    for called in (url, f"https://sqs.eu-west-1.amazonaws.com/{path}", path, name_of(url), sqs.arn(url)):
        sqs.client.send_message(QueueUrl=called, MessageBody="x")
    assert sqs.counts(url) == (5, 0, 0)
    account, name = path.split("/")
    for called in (
        f"https://host/123456789012/{name}",
        f"https://host/{path}/more",
        f"arn:aws:sqs:eu-west-1:{account}:{name}",
        f"arn:aws:sns:us-east-1:{account}:{name}",
        name.upper(),
    ):
        with refused(*NO_QUEUE):
            sqs.client.send_message(QueueUrl=called, MessageBody="x")
    assert sqs.client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"] == url
    for call in ("get_queue_url", "create_queue"):
        with missing("QueueName"):
            getattr(sqs.client, call)()


@pytest.mark.differs("moto", aws="InvalidAttributeValue: a queue attribute value is invalid.")
@pytest.mark.differs(
    "ministack",
    "roto-aws",
    aws="InvalidAttributeValue: a queue attribute value is invalid.",
    only=("Policy-[]", "Policy-not JSON", "SqsManagedSseEnabled-yes"),
)
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("Policy", "not JSON"),
        ("Policy", "[]"),
        ("SqsManagedSseEnabled", "yes"),
        ("KmsDataKeyReusePeriodSeconds", "59"),
        ("KmsDataKeyReusePeriodSeconds", "86401"),
        ("KmsDataKeyReusePeriodSeconds", "1.5"),
    ],
)
def test_65_values_of_policies_and_encryption_are_checked(sqs: Sqs, name: str, bad: str) -> None:
    """Values of policies and encryption are checked."""
    url = sqs.queue()
    before = attributes(sqs, url)
    with refused("InvalidAttributeValue", words=name, status=400):
        configure(sqs, url, **{name: bad, "DelaySeconds": "1"})
    assert attributes(sqs, url) == before


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="Only one server-side encryption option is supported per queue (for example, SSE-KMS or SSE-SQS).",
)
def test_65_a_queue_is_encrypted_in_one_way_at_a_time(sqs: Sqs) -> None:
    """A queue is encrypted in one way at a time: the one that was asked for last."""
    url = sqs.queue()
    assert attributes(sqs, url)["SqsManagedSseEnabled"] == "true"
    configure(sqs, url, KmsMasterKeyId="alias/own")
    found = attributes(sqs, url)
    assert found["KmsMasterKeyId"] == "alias/own"
    assert (found["SqsManagedSseEnabled"], found["KmsDataKeyReusePeriodSeconds"]) == ("false", "300")
    with refused("InvalidAttributeValue", words="one type of server-side encryption"):
        configure(sqs, url, KmsMasterKeyId="alias/own", SqsManagedSseEnabled="true")
    configure(sqs, url, SqsManagedSseEnabled="true")
    found = attributes(sqs, url)
    assert found["SqsManagedSseEnabled"] == "true"
    assert not {"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"} & set(found)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "FifoThroughputLimit: the perMessageGroupId value is allowed only when the value for "
        "DeduplicationScope is messageGroup."
    ),
)
def test_65_high_throughput_needs_the_scope_of_the_message_group(sqs: Sqs) -> None:
    """High throughput needs the scope of the message group, set before or together, and kept."""
    url = sqs.queue(fifo=True)
    for values in (
        {"FifoThroughputLimit": "perMessageGroupId"},
        {"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "queue"},
        {"FifoThroughputLimit": "fast"},
        {"DeduplicationScope": "world"},
        {"DeduplicationScope": ""},
    ):
        with refused("InvalidAttributeValue", status=400):
            configure(sqs, url, **values)
    configure(sqs, url, FifoThroughputLimit="perMessageGroupId", DeduplicationScope="messageGroup")
    with refused("InvalidAttributeValue", words="perMessageGroupId"):
        configure(sqs, url, DeduplicationScope="queue")
    found = attributes(sqs, url)
    assert (found["FifoThroughputLimit"], found["DeduplicationScope"]) == ("perMessageGroupId", "messageGroup")
    standard = sqs.queue()
    for name in ("DeduplicationScope", "FifoThroughputLimit", "ContentBasedDeduplication", "FifoQueue"):
        with refused("InvalidAttributeName", words=name):
            configure(sqs, standard, **{name: found[name]})


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "SetQueueAttributes lists the names of the special request parameters that it uses; those that only "
        "SQS sets are not among them."
    ),
)
def test_65_what_only_sqs_sets_cannot_be_set(sqs: Sqs) -> None:
    """What only SQS sets cannot be set."""
    url = sqs.queue()
    for name in ("QueueArn", "CreatedTimestamp", "ApproximateNumberOfMessages", "All", "FifoQueue"):
        with refused("InvalidAttributeName", words=name):
            configure(sqs, url, **{name: "1"})
    with missing("Attributes"):
        sqs.client.set_queue_attributes(QueueUrl=url)


def test_every_operation_of_sqs_is_there() -> None:
    """Every operation of the model of SQS is there, and none besides; each can be permitted to others."""
    model: Any = botocore.session.Session().get_service_model("sqs")
    assert set(model.operation_names) == set(OPERATIONS) == ACTIONS


def test_every_operation_says_which_parameter_it_misses(sqs: Sqs) -> None:
    """Every operation with a required parameter says which one it misses."""
    model: Any = botocore.session.Session().get_service_model("sqs")
    for name in model.operation_names:
        shape: Any = model.operation_model(name).input_shape
        if needed := shape.required_members:
            with missing(needed[0]):
                getattr(sqs.client, botocore.xform_name(name))()
