"""Releases as containers of a Docker Engine, behind one HAProxy container for each stable port."""
