"""What comes in and goes out: parameters, cards, errors, and files written whole, locked and checked."""
