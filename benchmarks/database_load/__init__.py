"""Many clients of the databases server at once: engines, clients, the mix, and what is reported of it."""
