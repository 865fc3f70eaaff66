"""A running worker: its threads, its engine, its life."""
