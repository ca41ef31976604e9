"""What happened: runs, decisions, model calls and tool calls, in one SQL schema."""
