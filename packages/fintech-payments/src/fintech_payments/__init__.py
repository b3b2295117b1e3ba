"""fintech-payments."""
