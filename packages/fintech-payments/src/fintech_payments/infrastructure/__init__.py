"""The package's tables, all of its SQL, and the processors that come with it."""
