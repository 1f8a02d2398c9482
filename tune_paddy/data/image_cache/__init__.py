"""Decoded and resized images, kept on disk for all trials."""
