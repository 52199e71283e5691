"""Localization jobs: shards of photos, computed once each by any engine, then finished."""
