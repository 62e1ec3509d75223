"""Jobs.csv: bytes to rows and back, what a row may say, who wins when two edited, the file on the disk."""
