"""What this server watches by itself: targets, probes, the host, rules and log files, kept for a day in SQLite."""

from .telemetry import LocalTelemetry

__all__ = ["LocalTelemetry"]
