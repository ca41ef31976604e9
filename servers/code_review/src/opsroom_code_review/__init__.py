"""An MCP server for code review on Phabricator, GitHub, GitLab and plain git."""
