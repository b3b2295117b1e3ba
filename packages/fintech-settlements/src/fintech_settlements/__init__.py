"""Settlements: batches that claim ledger lines exactly once, and the payouts that they lead to."""
