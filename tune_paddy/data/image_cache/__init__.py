"""Disk cache of decoded and resized images, shared by all trials."""
