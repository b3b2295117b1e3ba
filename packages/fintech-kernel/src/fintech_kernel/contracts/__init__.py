"""The published language: what plugins need of one another, without logic, only ever added to.

``ledger`` (postings and claims), ``merchants`` (profiles and pricing), ``processors`` (cards, mobile
money), ``payouts`` (rails), ``writes`` (what takes part in a roll-forward).
"""
