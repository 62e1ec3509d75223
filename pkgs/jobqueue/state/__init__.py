"""queue.sqlite: what the queue remembers of jobs, runs, attempts and rows, durable after every transition."""
