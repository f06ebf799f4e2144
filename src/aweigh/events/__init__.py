"""What happened, as frozen values; who wants to hear it passes a listener.

The library never prints and never configures logging: it hands each event to the
session's listener, in the order in which things happen, on the event loop's thread.
No event holds a secret.
"""

from typing import TYPE_CHECKING

from aweigh.events.event import Event, Listener, Retried, Waited, Warned, silent

if TYPE_CHECKING:
    from aweigh.events.build import (
        BlobPushed,
        BuildFinished,
        BuildLogged,
        BuildStarted,
        BuildStepFinished,
        BuildStepStarted,
        PushProgressed,
    )
    from aweigh.events.bundle import (
        BundleUploaded,
        FileSkipped,
        TreeScanned,
        UploadProgressed,
    )
    from aweigh.events.flow import (
        CodeDelivered,
        ImagePulled,
        PullProgressed,
        ServeEnded,
        ServeKept,
        ServeSwitched,
        ServiceDeployed,
        TaskFinished,
        TaskStarted,
    )
    from aweigh.events.image import (
        Checked,
        ImageEnsured,
        ImagePushed,
    )

__all__ = [
    "BlobPushed",
    "BuildFinished",
    "BuildLogged",
    "BuildStarted",
    "BuildStepFinished",
    "BuildStepStarted",
    "BundleUploaded",
    "Checked",
    "CodeDelivered",
    "Event",
    "FileSkipped",
    "ImageEnsured",
    "ImagePulled",
    "ImagePushed",
    "Listener",
    "PullProgressed",
    "PushProgressed",
    "Retried",
    "ServeEnded",
    "ServeKept",
    "ServeSwitched",
    "ServiceDeployed",
    "TaskFinished",
    "TaskStarted",
    "TreeScanned",
    "UploadProgressed",
    "Waited",
    "Warned",
    "silent",
]

# Each is imported when it is first asked for: a dataclass takes half a millisecond to
# make, and an answer from memory sends few of them.
_WHERE = {
    "BlobPushed": "aweigh.events.build",
    "BuildFinished": "aweigh.events.build",
    "BuildLogged": "aweigh.events.build",
    "BuildStarted": "aweigh.events.build",
    "BuildStepFinished": "aweigh.events.build",
    "BuildStepStarted": "aweigh.events.build",
    "BundleUploaded": "aweigh.events.bundle",
    "Checked": "aweigh.events.image",
    "CodeDelivered": "aweigh.events.flow",
    "FileSkipped": "aweigh.events.bundle",
    "ImageEnsured": "aweigh.events.image",
    "ImagePulled": "aweigh.events.flow",
    "ImagePushed": "aweigh.events.image",
    "PullProgressed": "aweigh.events.flow",
    "PushProgressed": "aweigh.events.build",
    "ServeEnded": "aweigh.events.flow",
    "ServeKept": "aweigh.events.flow",
    "ServeSwitched": "aweigh.events.flow",
    "ServiceDeployed": "aweigh.events.flow",
    "TaskFinished": "aweigh.events.flow",
    "TaskStarted": "aweigh.events.flow",
    "TreeScanned": "aweigh.events.bundle",
    "UploadProgressed": "aweigh.events.bundle",
}

if not TYPE_CHECKING:  # checkers know the names from above, and no others

    def __getattr__(name: str) -> object:
        """Import an event."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(_WHERE[name], fromlist=[name])
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        """List all events, imported or not."""
        return sorted({*globals(), *_WHERE})
