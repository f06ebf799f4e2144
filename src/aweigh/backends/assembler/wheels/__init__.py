"""Wheels: found, built, unpacked, kept."""
