"""What clients send and see; the only layer that knows the web framework."""
