"""A module of the job's own, which only the bundle has."""


def count(word: str) -> int:
    """Count the letters of a word."""
    return sum(map(str.isalpha, word))
