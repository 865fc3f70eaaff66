"""The measured programs, one of each contender; each runs in an environment of its own, with the standard library and its peer.

Rules of this folder: a program imports nothing of the benchmark but `job` and `probe`, and does what the documentation of its
framework says; how each is set up, and why, stands in docs/reference/benchmarks.md.
"""
