"""The procedural town: a map and photos from a seed, to try the pipeline on."""
