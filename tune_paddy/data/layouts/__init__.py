"""The layouts that a folder of images may have, and how one is detected."""
