"""How an interrupted search is taken up where it stopped."""
