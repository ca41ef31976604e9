"""An MCP server that reads metrics, alerts, dashboards and logs, and finds what changed."""
