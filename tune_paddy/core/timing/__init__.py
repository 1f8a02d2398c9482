"""Forecast the time of a search from the cost of one image in each of its steps."""
