"""Tables as text, with the line of every row: CSV, and the same in JSON."""
