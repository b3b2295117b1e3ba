"""What a payment is and how it moves: no HTTP, no SQL text."""
