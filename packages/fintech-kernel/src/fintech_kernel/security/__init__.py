"""Tokens, derived keys, and what must never be stored."""
