"""Architectures, pretrained weights, and networks built from both."""
