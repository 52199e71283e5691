"""What a photo's file says of where, when and how it was taken."""
