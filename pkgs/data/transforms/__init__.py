"""Random changes of a batch on its device: drawn per sample, replayable, never cached."""
