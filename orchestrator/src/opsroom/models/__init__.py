"""The fallback chain: rungs, outcomes, deadlines."""
