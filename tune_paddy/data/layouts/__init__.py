"""Layouts of a folder of images, and their detection."""
