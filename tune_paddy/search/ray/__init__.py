"""Ray: its session, its environment variables, its worker processes and the private names in use."""
