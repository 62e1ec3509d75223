"""Exit codes that the queue and the jobs agree on."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
"""Wrong usage or input: bad config, missing file. Running it again would not help."""
NAN: Final = 81
"""The loss became NaN; the batch and state that caused it are kept."""
INTERRUPTED: Final = 130
STOPPED: Final = 143
"""Stopped by SIGTERM after saving a checkpoint (128 + 15): to be resumed, never a success."""
