"""Labels of a dataset: their correction, their balance, and columns that give them away."""
