"""The kernel's tables and all of its SQL."""
