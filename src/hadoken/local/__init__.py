"""A strict SQS for development and tests, in this process or as a small server.

The map, from the inside out:

- `deadlines`, `handles`, `digests`, `eventlog`: the tools.
- `stored`, `order`, `queue`: one queue: its messages, their order, their life from sent to gone.
- `requests`, `answers`, `refusals`, `checks`, `settings`: what SQS is asked, what it says, and what it refuses.
- `queues`, `messages`: the operations on queues and on messages; no HTTP, no real clock, no loop.
- `parking`: long polls, parked until something can be received.
- `protocol`, `http`, `server`: AWS JSON 1.0 over HTTP; an unmodified boto3 client talks to it.
- `faults`, `inprocess`: the same state behind `sqs.api`, with a virtual clock and calls that can be made to fail.

It holds everything in memory and is never a production broker.
"""
