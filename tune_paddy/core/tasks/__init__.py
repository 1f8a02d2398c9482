"""Kinds of classification: one class an image, ordered classes, several labels an image."""
