"""Training on labels of which some are wrong. Loads torch."""
