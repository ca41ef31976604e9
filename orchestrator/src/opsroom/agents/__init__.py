"""Agents as data, the turn loop, and the typed result."""
