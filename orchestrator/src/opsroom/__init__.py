"""opsroom: a thin orchestrator that routes an operations request to a specialised agent."""
