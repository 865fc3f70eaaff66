"""The command line: `hadoken run`, `send`, `local`, `demo`. Nothing else of hadoken imports click."""
