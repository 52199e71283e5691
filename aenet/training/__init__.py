"""The training loop, and what survives a kill."""
