"""Kaggle competitions: download of their files, and submissions."""
