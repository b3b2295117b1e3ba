"""The HTTP API of webhooks: translates, and knows nothing else."""
