"""What the kernel knows: operations, journal, events, jobs, permissions. No HTTP, no SQL text."""
