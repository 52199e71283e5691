"""Archives: fetched, checked, unpacked."""
