"""From descriptors to ranks: exact ranking in blocks, recalls, headings and limited fields of view. No torch."""
