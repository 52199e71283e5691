"""AENet: cross-view geo-localization as a reproducible pipeline."""

from aenet import quiet as quiet  # first: it sets the environment of what is imported next

__version__ = "0.1.0"
