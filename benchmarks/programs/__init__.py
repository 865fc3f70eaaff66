"""The measured programs, one of each contender; each runs in an environment of its own, where only its framework is.

Rules of this folder: a program imports nothing of the benchmark but `job` and `probe`, and does what the documentation
of its framework says; how each is set up, and why, stands in docs/reference/benchmarks.md.
"""
