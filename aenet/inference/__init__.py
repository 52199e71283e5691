"""A trained model over a split: descriptors, and evaluation at unknown headings and limited fields of view."""
