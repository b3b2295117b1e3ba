"""The HTTP side of merchants: validate, authenticate, authorize, map."""
