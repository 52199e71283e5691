"""A trained network over a split."""
