"""``python -m xaicore`` is the command ``xaicore``."""

import sys

from xaicore.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
