"""What a ledger is: the chart of accounts, postings, claims, and the reading of the books."""
