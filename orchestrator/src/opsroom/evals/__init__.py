"""Data sets and the runners that score the router and the catalogue on them."""
