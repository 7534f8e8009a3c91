"""Run as ``python -m headrank.cli``."""

import sys

from headrank.cli import main

sys.exit(main())
