"""fintech-ledger."""
