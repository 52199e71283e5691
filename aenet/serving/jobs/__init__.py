"""Localization jobs: shards of photos, computed once each by any executor, then finished."""
