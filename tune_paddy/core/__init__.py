"""Pure computation with NumPy and the standard library (pydantic for the configs): no files, no clock."""
