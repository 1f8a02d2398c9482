"""What an epoch of a member does beside its steps."""
