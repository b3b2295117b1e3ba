"""Payments: authorize, capture, cancel and refund through processors, with money moved exactly once."""
