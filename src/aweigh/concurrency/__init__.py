"""Single-flight, file locks and retry."""
