"""Context of a run: its data, source code and machine, and how to repeat it."""
