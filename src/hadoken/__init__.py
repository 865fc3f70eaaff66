"""hadoken: Amazon SQS messages, pools of handler threads, and a thread count that never changes."""

__version__ = "0.1.0"
