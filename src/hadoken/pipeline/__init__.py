"""The path of a message, one file a stage.

    poller ───────► admission ───► in-flight table ───► executor ───► outcome ─────► acknowledger ───► SQS
    1..8 receives   a place for    message + lease,     handler       Ack            batches of <= 10,
    a queue, ask    each           one record, one      threads       Retry(after)   failed entries retried,
    for 1..10                      final transition                   Release        out of the table only
                                        ▲                             DeadLetter     when SQS has confirmed
                                        │                             Discard
                       keeper: one heap, extends every lease in batches of 10 at half its life

Stages do not import each other: they meet in the in-flight table and are wired in `worker.pool`. What a stage decides
is a plain function of (state, now) that returns what to do; the engine does the I/O. All of it runs on the engine loop,
except the bodies of handlers.

Classes of held messages, each with a bound of its own:

- *active*: handed to the executor, not finished. Each has a place.
- *waiting*: FIFO only: behind the head of its message group, or the head itself until its next try in place. No handler
  could take it now, so it has no place; it takes one when it becomes active.
- *settling*: finished; its outcome is on the way to SQS.

Invariants:

- I1 A message received is in the table until SQS confirmed its delete or visibility change, or its lease lapsed.
- I2 No receive asks for more messages than there are free places (a scout: one, its own); a place is freed exactly
  once.
- I3 Every message gets exactly one outcome; outcomes reach SQS in batches of <= 10; each entry's failure is handled by
  itself and retried until the lease ends.
- I4 No lease lapses while its handler runs and SQS answers within the margin. If one does, the handler is told, no
  visibility change is sent for it any more, and it is counted.
- I5 The number of threads is fixed at boot.
- I6 Nothing of ours blocks longer than the stop deadline; every wait can be woken.
- I7 After stop nothing of ours is left; the table is empty, or what is left is reported.
- I8 Memory held for a message ends with the message.
- I9 No message that a handler could take is dead-lettered unstarted because of its neighbours, a scout or a stop.
"""
