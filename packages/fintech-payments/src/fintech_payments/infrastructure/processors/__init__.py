"""Processors that come with the package."""
