"""``python -m fintech_dbclient.conformance``."""

import sys

from fintech_dbclient.conformance.command import main

sys.exit(main())
