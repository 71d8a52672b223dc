"""Reports on schedule: what is due, its window, its delivery, and who is told when there is none."""
