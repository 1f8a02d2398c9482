"""Forecast the time of a search, before it starts and while it runs."""
