"""Where a network looks: class activation of its similarity, and the share of it that falls on what."""
