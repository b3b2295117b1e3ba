"""Structured logs and their context."""
