"""fintech-dbclient."""
