"""The manager: one loop of named steps over shared parts, and what each step does."""
