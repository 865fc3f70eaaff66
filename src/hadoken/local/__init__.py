"""A strict SQS for development and tests, in this process or as a small server.

The map, from the inside out:

- `deadlines`, `handles`, `digests`, `eventlog`: the tools.
- `stored`, `order`, `queue`: one queue: its messages, their order, their life from sent to gone.
- `requests`, `answers`, `refusals`, `checks`, `settings`, `redrive`: what SQS is asked, what it says, what it refuses.
- `queues`, `messages`, `poll`, `counters`: the operations on queues and on messages; no HTTP, no real clock, no loop.
- `pages`, `tags`, `permissions`, `movetasks`: more operations on queues; `moves`: what a move task does with time.
- `parking`: long polls, parked until something can be received.
- `protocol`, `http`, `server`: AWS JSON 1.0 over HTTP; an unmodified boto3 client talks to it.
- `child`, `finding`, `provision`: that server as a child of a worker, found again by others, with the queues of an app.
- `faults`, `translate`, `inprocess`: the same state behind `sqs.api`, with a virtual clock and calls that fail as told.
- `witness`, `store`, `sigv4`: by option: who is told of changes, a data file that keeps them, signatures verified.

It holds everything in memory unless a data file is named, and is never a production broker.
"""
