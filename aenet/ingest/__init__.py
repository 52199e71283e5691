"""Data sets as they come, made into pairs."""
