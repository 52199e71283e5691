"""Photos as people have them: found, decoded, their pose read, and placed on the horizon."""
