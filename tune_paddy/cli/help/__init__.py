"""The order and the panels of commands and options in help screens."""
