"""The GPU memory that a member will take, without a GPU."""
