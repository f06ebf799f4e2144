"""A module beside the flow: it travels in the same bundle."""

from collections import Counter


def frequent(text: str) -> str:
    """Return the most frequent letter."""
    return Counter(filter(str.isalpha, text)).most_common(1)[0][0]
