"""One process that tries a run: the shim that watches over it, finding it again, and why it ended."""
