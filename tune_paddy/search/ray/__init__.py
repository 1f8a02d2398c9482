"""Ray's session, its processes, and the private parts of it that are used."""
