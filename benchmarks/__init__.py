"""Measurements that anyone can repeat: the queue beside its peers. `python -m benchmarks.jobqueue --help`."""
