"""AENet: cross-view geo-localization as a reproducible pipeline."""

__version__ = "0.1.0"
