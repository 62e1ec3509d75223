"""Who waits for whom, what starts next and where, when it will be done, and why something waits. Pure."""
