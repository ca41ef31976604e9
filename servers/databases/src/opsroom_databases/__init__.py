"""An MCP server that reads relational databases safely."""
