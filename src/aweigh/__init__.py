"""Make a task's image and code exist before it runs.

The image is in the registry, the code is in the store, the task may leave.
"""

TYPE_CHECKING = False  # checkers take it for true; `typing` itself is not needed here
if TYPE_CHECKING:
    from aweigh.bundle.bundle import Bundle
    from aweigh.errors import AweighError
    from aweigh.flow.explain import Plan
    from aweigh.flow.prepare import Ready
    from aweigh.image.image import Image
    from aweigh.image.spec import ImageSpec
    from aweigh.session import Session, open_session
    from aweigh.settings import Settings
    from aweigh.shared import (
        deploy,
        ensure_image,
        explain,
        fetch_bundle,
        prepare,
        run,
        serve,
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
    "deploy",
    "ensure_image",
    "explain",
    "fetch_bundle",
    "open_session",
    "prepare",
    "run",
    "serve",
    "upload_bundle",
]

# Each is imported when it is first asked for: the command's own modules are in this
# package, and have to run before the rest is imported to hear Ctrl-C meanwhile.
_WHERE = {
    "Bundle": "aweigh.bundle.bundle",
    "AweighError": "aweigh.errors",
    "Plan": "aweigh.flow.explain",
    "Ready": "aweigh.flow.prepare",
    "Image": "aweigh.image.image",
    "ImageSpec": "aweigh.image.spec",
    "Session": "aweigh.session",
    "open_session": "aweigh.session",
    "Settings": "aweigh.settings",
    "deploy": "aweigh.shared",
    "ensure_image": "aweigh.shared",
    "explain": "aweigh.shared",
    "fetch_bundle": "aweigh.shared",
    "prepare": "aweigh.shared",
    "run": "aweigh.shared",
    "serve": "aweigh.shared",
    "upload_bundle": "aweigh.shared",
}

if not TYPE_CHECKING:  # checkers know the names from above, and no others

    def __getattr__(name: str) -> object:
        """Import a public name."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(_WHERE[name], fromlist=[name])
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        """List the public names as well, imported or not."""
        return sorted({*globals(), *_WHERE})
