"""Time the steps of members on the device at hand, to forecast the time of a search."""
