"""Packed data sets: settings, resumable download, safe unpacking."""
