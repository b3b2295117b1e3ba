"""The HTTP side of the ledger: authenticate, authorize, map. Nothing is posted here."""
