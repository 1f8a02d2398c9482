"""YAML search spaces: parsing and validation."""
