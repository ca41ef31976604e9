"""Tests of the GitHub provider against a server that holds both sides to GitHub's own contracts."""
