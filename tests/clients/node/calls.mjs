// The basic calls of SQS by the AWS SDK for JavaScript; the endpoint is the only argument. It says on standard output,
// as JSON, what came of each, for the test to judge.
import {
  ChangeMessageVisibilityCommand, CreateQueueCommand, DeleteMessageBatchCommand, DeleteMessageCommand,
  DeleteQueueCommand, GetQueueAttributesCommand, GetQueueUrlCommand, ListQueuesCommand, QueueDoesNotExist,
  ReceiveMessageCommand, SendMessageBatchCommand, SendMessageCommand, SetQueueAttributesCommand, SQSClient,
} from "@aws-sdk/client-sqs";

const sqs = new SQSClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "node", secretAccessKey: "secret of node" },
  maxAttempts: 1,
});
const call = (Command, parameters) => sqs.send(new Command(parameters));
const said = {};

const { QueueUrl } = await call(CreateQueueCommand, { QueueName: "of-node", Attributes: { VisibilityTimeout: "40" } });
said.found = (await call(GetQueueUrlCommand, { QueueName: "of-node" })).QueueUrl === QueueUrl;
said.listed = (await call(ListQueuesCommand, { QueueNamePrefix: "of-" })).QueueUrls;
await call(SetQueueAttributesCommand, { QueueUrl, Attributes: { DelaySeconds: "0", MaximumMessageSize: "2048" } });
said.attributes = (await call(GetQueueAttributesCommand, { QueueUrl, AttributeNames: ["All"] })).Attributes;

// The SDK compares the digests of bodies and message attributes with its own, and throws where they differ.
const sender = { DataType: "String", StringValue: "näher" };
await call(SendMessageCommand, { QueueUrl, MessageBody: "first ✓", MessageAttributes: { sender } });
const entries = ["second", "third"].map((body, number) => ({ Id: `${number}`, MessageBody: body }));
said.sent = (await call(SendMessageBatchCommand, { QueueUrl, Entries: entries })).Successful.map((one) => one.Id).sort();

const asked = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5, MessageAttributeNames: ["All"] };
const { Messages } = await call(ReceiveMessageCommand, asked);
said.received = Messages.map((one) => [one.Body, one.MessageAttributes?.sender?.StringValue ?? null]);
const [first, ...others] = Messages;
await call(ChangeMessageVisibilityCommand, { QueueUrl, ReceiptHandle: first.ReceiptHandle, VisibilityTimeout: 0 });
const again = (await call(ReceiveMessageCommand, { ...asked, MessageSystemAttributeNames: ["All"] })).Messages;
said.again = again.map((one) => [one.Body, one.Attributes.ApproximateReceiveCount]);
await call(DeleteMessageCommand, { QueueUrl, ReceiptHandle: again[0].ReceiptHandle });
const handles = others.map((one, number) => ({ Id: `${number}`, ReceiptHandle: one.ReceiptHandle }));
said.deleted = (await call(DeleteMessageBatchCommand, { QueueUrl, Entries: handles })).Successful.length;
const counters = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
said.left = (await call(GetQueueAttributesCommand, { QueueUrl, AttributeNames: counters })).Attributes;

await call(DeleteQueueCommand, { QueueUrl });
said.error = await call(GetQueueUrlCommand, { QueueName: "of-node" }).then(
  () => null,
  (error) => [error instanceof QueueDoesNotExist, error.name, error.$metadata.httpStatusCode],
);
console.log(JSON.stringify(said));
