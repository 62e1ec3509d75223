"""Who waits for whom, what starts next and where, when it will be done, and the sentence for why not now. Pure."""
