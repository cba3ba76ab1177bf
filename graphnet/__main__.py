"""``python -m graphnet``: the command line."""

import sys

from graphnet.cli import main

sys.exit(main())
