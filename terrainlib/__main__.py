"""`python -m terrainlib`: see `cli`."""

import sys

from terrainlib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
