"""Searches on several machines: what travels to them, and what is asked of them before anything trains."""
