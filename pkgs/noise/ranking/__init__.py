"""The command `rank`: from the predictions of finished runs to a ranking, a cut and its exports."""
