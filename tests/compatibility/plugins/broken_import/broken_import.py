"""Imports what is not there."""

import acme_that_nobody_installed  # noqa: F401
