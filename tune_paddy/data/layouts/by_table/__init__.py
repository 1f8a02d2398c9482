"""Layouts by a table of labels: its columns, its images, and columns of groups and splits."""
