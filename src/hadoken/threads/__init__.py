"""Threads: where ours are born, how many there may be, and what all of them are doing.

Standard library only, and nothing of SQS: usable on any program.
"""
