"""What a score is, what it is worth and what its descriptors cost: shared by export and serving."""
