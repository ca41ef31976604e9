"""What an agent gets to see: the slice of the state."""
