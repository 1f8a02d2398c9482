"""Ensembles by name: the option `--ensemble`, and the command that makes one current."""
