"""The SQL of webhooks, and the client that sends."""
