"""Turn image files into augmented batches on the device."""
