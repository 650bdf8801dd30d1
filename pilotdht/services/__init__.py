"""What listens on the well-known virtual ports."""
