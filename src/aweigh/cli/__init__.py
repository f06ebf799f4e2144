"""The `aweigh` command."""
