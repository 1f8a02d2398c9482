"""Which labelled images stay on one side of a split: those of a group, and those of a given part."""
