"""``python -m fintech_database`` is the command ``fintech-database``."""

from fintech_database.cli import main

if __name__ == "__main__":
    main()
