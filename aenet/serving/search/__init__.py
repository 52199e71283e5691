"""From descriptors to places: exact and approximate search over headings, priors, confidence."""
