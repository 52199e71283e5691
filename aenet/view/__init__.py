"""Module 1 of the paper: images, and the views that the network is given."""
