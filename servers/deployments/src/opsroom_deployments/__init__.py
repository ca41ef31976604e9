"""An MCP server that releases services without losing requests."""
