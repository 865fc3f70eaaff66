"""What SQS is asked, what it keeps, and what it says: the state machine. No HTTP, no loop, no clock but the given one.

The map, from the inside out:

- `deadlines`, `handles`, `digests`, `eventlog`, `counters`: the tools.
- `stored`, `order`, `holding`: the messages of a queue, in which order they can be received, and where each stands.
- `deduplication`, `attempts`: what a FIFO queue remembers besides; `telling`: whom a queue tells what happens.
- `queue`: one queue, made of these, in a `house` of many; what happens to its messages: `sending`, `receiving`,
  `returning` (by receipt handle), and `passing` (of time).
- `profile`, `whims`: how kind it is: as AWS is known to be, or as harsh as its documents allow.
- `requests`, `answers`, `refusals`, `checks`: what can be asked, what is said, what is refused and in which words.
- `settings`, `redrive`, `tags`, `permissions`, `pages`: what belongs to a queue besides its messages.
- `queues`, `movetasks`, `messages`, `poll`: the operations, named in `operations`; `moves`: a move task in time.
- `parking`: long polls, parked until something can be received.
- `witness`: who is told of every change, such as a data file.
"""
