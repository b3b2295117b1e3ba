"""fintech-ledger: double-entry accounts, transfers and balances, and lines that are claimed once.

It is told what to post (``fintech_kernel.contracts.ledger.Ledger``) and never decides. ``plugin`` is
where the parts meet.
"""
