"""Loyalty: points for captured payments, redeemed exactly once. The example of docs/writing-a-plugin.md."""
