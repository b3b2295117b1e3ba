"""fintech-settlements."""
