"""The flow that is deployed."""

from pathlib import Path

from letters import frequent
from prefect import flow


@flow
def count(text: str, answer: str) -> str:
    """Write the most frequent letter of a text into a file."""
    letter = frequent(text)
    Path(answer).write_text(letter)
    return letter
