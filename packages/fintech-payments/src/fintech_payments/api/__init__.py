"""The HTTP side of payments: validate, authenticate, authorize, map."""
