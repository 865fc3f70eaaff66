"""The tests of hadoken; a package, so that helpers are imported as `tests.support`."""
