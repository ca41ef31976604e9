"""What tests and demos of opsroom and of its users need: a scripted Anthropic server."""
