"""Make the report of a study: the same as `python -m pkgs.reports STUDY`."""

import sys

from pkgs.reports.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
