"""The ledger's tables and all of its SQL."""
