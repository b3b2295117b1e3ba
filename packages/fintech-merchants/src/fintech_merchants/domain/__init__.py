"""What a merchant is: a decider over its stream, and the use cases around it."""
