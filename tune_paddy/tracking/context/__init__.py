"""The circumstances of a run: data, source code, machine, and how to repeat it."""
