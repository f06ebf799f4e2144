"""What uses images and bundles together: prepare, run, deploy, serve."""
