"""Images in a directory: an OCI image layout that skopeo and podman read."""

from aweigh.backends.layout.checker import LayoutChecker
from aweigh.backends.layout.layout import ImageLayout
from aweigh.backends.layout.routing import RoutedRegistry

__all__ = ["ImageLayout", "LayoutChecker", "RoutedRegistry"]
