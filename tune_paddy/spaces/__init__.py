"""YAML search spaces: what may be searched over, read and checked."""
