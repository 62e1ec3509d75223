"""The queue: from a row of Jobs.csv to finished runs on free devices. Knows no training code."""
