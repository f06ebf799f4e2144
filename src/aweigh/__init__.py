"""Make a task's image and code exist before it runs."""
