"""Helpers for files, text and CPUs, shared by all packages."""
