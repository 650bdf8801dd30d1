"""From bytes to checked, frozen values and back; no input or output."""
