"""Resume an interrupted search from its record."""
