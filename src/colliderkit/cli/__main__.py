"""Run the command line as ``python -m colliderkit.cli``."""

import sys

from colliderkit.cli import main

sys.exit(main())
