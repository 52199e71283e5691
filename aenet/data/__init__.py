"""A data set on disk and in memory: pair table, packed views and masks, model cards, distances on the ground."""
