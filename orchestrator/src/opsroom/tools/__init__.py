"""Connections to tool servers, the catalogue, and the subset of tools for one task."""
