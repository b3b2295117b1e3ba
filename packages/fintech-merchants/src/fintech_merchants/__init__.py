"""fintech-merchants."""
