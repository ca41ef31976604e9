"""Where deployments are told: another server's history, a feed, annotations, or the versions that a metric shows."""

from .annotations import GrafanaAnnotations
from .http_feed import HttpFeed
from .mcp_history import McpHistory
from .version_series import VersionSeries

__all__ = ["GrafanaAnnotations", "HttpFeed", "McpHistory", "VersionSeries"]
