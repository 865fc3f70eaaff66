"""Sending: in the calling thread or on the caller's loop, in batches.

| file | what it holds |
|---|---|
| `sender` | the door: `Sender`, with one way to send that blocks and one that is awaited |
| `delivery` | what is decided about a batch on its way: pure, shared by both ways |
| `routes` | where clients come from: one for each process, one for each loop |
| `background` | the one thread for what would block a caller's loop |
"""
