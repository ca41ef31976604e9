"""Runs and their steps: from a request to its answer."""
