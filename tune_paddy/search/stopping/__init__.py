"""What stops a search or a trial: signals, the end of its time, processes that hang, files that are lost."""
