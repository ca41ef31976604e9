"""What every opsroom server needs and no domain owns."""
