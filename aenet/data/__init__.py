"""Data sets: the pair table, the procedural town, packed views."""
