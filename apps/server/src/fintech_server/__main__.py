"""``python -m fintech_server`` is the command ``fintech``."""

from fintech_server.cli import main

if __name__ == "__main__":
    main()
