"""What a build would do, told beforehand."""
