"""Tests of the code review server."""
