"""The network and its losses: the four modules of the paper."""
