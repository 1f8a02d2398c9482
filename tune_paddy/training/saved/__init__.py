"""What training writes to files, and reads again."""
