"""Galleries: tiles of a map, described by a model, as shards under a manifest."""
