"""Make a task's image and code exist before it runs.

The image is in the registry, the code is in the store, the task may leave.
"""

from aweigh.bundle.bundle import Bundle
from aweigh.errors import AweighError
from aweigh.flow.explain import Plan
from aweigh.flow.prepare import Ready
from aweigh.image.image import Image
from aweigh.image.spec import ImageSpec
from aweigh.session import Session, open_session
from aweigh.settings import Settings
from aweigh.shared import (
    ensure_image,
    explain,
    fetch_bundle,
    prepare,
    upload_bundle,
)

__all__ = [
    "AweighError",
    "Bundle",
    "Image",
    "ImageSpec",
    "Plan",
    "Ready",
    "Session",
    "Settings",
    "ensure_image",
    "explain",
    "fetch_bundle",
    "open_session",
    "prepare",
    "upload_bundle",
]
