"""fintech-kernel."""
