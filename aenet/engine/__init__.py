"""The parts of the training loop: one step, one epoch, and what survives a kill."""
