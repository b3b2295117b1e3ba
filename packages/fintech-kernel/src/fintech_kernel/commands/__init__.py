"""Commands of the kernel: Typer apps that ``fintech`` mounts. Each loads the kernel only when it is run."""
