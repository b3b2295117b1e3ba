"""fintech-database."""
