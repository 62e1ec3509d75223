"""Optional pictures of a run elsewhere; train.csv and val.csv stay the truth.

A tracker is imported when it is named, works in a thread of its own, and cannot stop or delay a run.
"""
