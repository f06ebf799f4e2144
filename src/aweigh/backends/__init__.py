"""One third-party library or wire protocol per module."""
