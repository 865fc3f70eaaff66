"""Tracers that stand in botocore's way only to look on, known by the module of their code."""

from __future__ import annotations

from typing import Final

# First names of modules -> what the banner calls them. Each was seen to call what it wraps and to answer nothing.
_TRACERS: Final = {
    "opentelemetry": "OpenTelemetry",
    "ddtrace": "ddtrace",
    "sentry_sdk": "Sentry",
    "newrelic": "New Relic",
}


def tracer_of(module: str) -> str | None:
    """The tracer that a module belongs to, by its name; None for all others."""
    return _TRACERS.get(module.partition(".")[0])
