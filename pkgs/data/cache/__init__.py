"""Decoded samples, kept in one packed file that all workers and all jobs of a machine read."""
