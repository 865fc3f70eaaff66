"""The demo: the Python standard library, indexed by a worker, with trouble planted and books that must balance.

The way through: `source` lists files and parses them, `app` declares the queues and handlers, `index` is the database,
`plant` makes the trouble, `run` runs it all, `walk` looks at the files by itself, `books` compares, `report` tells.
"""
