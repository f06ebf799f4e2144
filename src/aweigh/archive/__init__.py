"""Deterministic archives: tar headers and compression."""
