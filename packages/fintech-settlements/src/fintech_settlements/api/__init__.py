"""The HTTP face of settlements: routes and schemas. FastAPI is known here and nowhere else."""
