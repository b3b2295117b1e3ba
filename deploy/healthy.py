#!/usr/bin/env python3
"""Exit with 0 where a URL answers 200 within two seconds: containers have no curl.

A path alone is asked of the server in this container, at ``APP_PORT``.
"""

import os
import sys
import urllib.request

SECONDS = 2
OK = 200


def main(asked: str) -> int:
    """Ask, and return the exit code."""
    local = f"http://127.0.0.1:{os.environ.get('APP_PORT', '8000')}"
    url = f"{local}{asked}" if asked.startswith("/") else asked
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - whoever runs it chose it
            return 0 if answer.status == OK else 1
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
