"""Single-flight, file locks, retry, and things at the same time."""
