"""fintech-server."""
