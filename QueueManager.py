"""Start the queue: `python QueueManager.py`, or one of its commands: `python QueueManager.py --help`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python would fail below with a riddle
    sys.exit("QueueManager needs Python 3.11 or later: try python3.11, or `make run`.")

from pkgs.jobqueue.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
