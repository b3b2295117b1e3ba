"""The only room of the kernel that knows FastAPI."""
