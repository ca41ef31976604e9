"""Plain processes behind a TCP proxy: no Docker, no root."""
