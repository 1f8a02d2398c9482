"""Frozen members: features of a pretrained body, cached on disk, and a head fitted to them."""
