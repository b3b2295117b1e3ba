"""Webhooks: tells merchants' servers what happened, signed, in order, until they took it."""
