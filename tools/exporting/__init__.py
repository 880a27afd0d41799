"""Networks as files for other programs: what is in them, writing and checking."""
