"""The tables of merchants and all of their SQL."""
