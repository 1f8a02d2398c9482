"""Labels as tables write them: one class an image, or several in a row."""
