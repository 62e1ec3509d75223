"""What people see of a queue: the live board, one line per event, the overview behind `status` and `why`."""
