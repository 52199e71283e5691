"""What `aenet doctor` looks at."""
