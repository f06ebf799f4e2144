"""What images start from."""
