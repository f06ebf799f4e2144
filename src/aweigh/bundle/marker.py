"""The file that `fetch` leaves where it put a bundle, to know it again."""

from typing import Final

__all__ = ["MARKER"]

# It is not part of the code that was fetched.
MARKER: Final = ".aweigh-bundle"
