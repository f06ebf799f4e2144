"""Stores for bundles: directories, and through obstore memory, S3, GCS and Azure."""

from aweigh.backends.objects.deadlines import Deadlines
from aweigh.backends.objects.opening import open_store
from aweigh.backends.objects.store import ObjectStore

__all__ = ["Deadlines", "ObjectStore", "open_store"]
