"""`python -m aenet`: the same as the command `aenet`."""

from aenet.cli import main

main()
