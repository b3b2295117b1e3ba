"""What a settlement is and how it moves: no HTTP, no SQL text."""
