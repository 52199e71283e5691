"""The commands of `aenet gallery` and `aenet locate`."""
