"""Kaggle's competitions: their files, and submissions to them."""
