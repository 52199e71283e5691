"""The commands of `aenet`: thin, and lazy so that `--help` answers at once. They stand on the doors and the rooms."""
