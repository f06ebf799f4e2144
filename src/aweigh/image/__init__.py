"""What an image should be, whether it exists, and how it comes to exist."""
