"""python -m geoflow."""

import sys

from geoflow.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
