"""Stores for bundles: directories, and through obstore memory, S3, GCS and Azure.

Nothing is imported here: whoever has a directory does without obstore, which takes as
long to load as an edit takes to upload. `aweigh.backends.objects.opening` opens all.
"""
