"""Stores for bundles: directories, memory, S3, GCS and Azure, all through obstore."""

from aweigh.backends.objects.opening import open_store
from aweigh.backends.objects.store import Deadlines, ObjectStore

__all__ = ["Deadlines", "ObjectStore", "open_store"]
