"""The stages of a flow, side by side: where each is, from the events so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh import events
from aweigh.cli.output import readable_entries, readable_size, readable_time

if TYPE_CHECKING:
    from aweigh.events import Event

__all__ = ["Stage", "Stages"]


@dataclass(slots=True)
class Stage:
    """One stage.

    Attributes:
        name: What it makes.
        text: What it is at; empty before it begins.
        done: Whether it is finished.
    """

    name: str
    text: str = ""
    done: bool = False


@dataclass(slots=True)
class _Moved:
    """Layers that move, and those that need not."""

    progress: dict[str, tuple[int, int]] = field(default_factory=dict)
    reused: int = 0
    pushed: int = 0

    def __str__(self) -> str:
        done = sum(done for done, _ in self.progress.values())
        total = sum(total for _, total in self.progress.values())
        whole = readable_size(total)
        sent = whole if done >= total else f"{readable_size(done)} of {whole}"
        parts = [sent] if total else []
        if self.pushed:
            parts.append(f"{self.pushed} layer{'s' * (self.pushed != 1)} pushed")
        if self.reused:
            parts.append(f"{self.reused} reused")
        return ", ".join(parts)


class Stages:
    """Image, bundle, code and start, as far as they are known."""

    def __init__(self) -> None:
        self.image = Stage("image")
        self.bundle = Stage("bundle")
        self.code = Stage("code")
        self.start = Stage("start")
        self._pushing = _Moved()
        self._pulling = _Moved()

    @property
    def begun(self) -> list[Stage]:
        """Those that something was heard of."""
        every = (self.image, self.bundle, self.code, self.start)
        return [stage for stage in every if stage.text]

    def take(self, event: Event) -> bool:
        """Take note of an event; False for one that is no part of a stage."""
        return (
            self._take_image(event)
            or self._take_bundle(event)
            or self._take_build(event)
            or self._take_start(event)
        )

    def _take_image(self, event: Event) -> bool:
        match event:
            case events.Checked(checker=checker, verdict=verdict):
                self._at(self.image, f"{checker}: {verdict}")
            case events.ImageEnsured(origin=origin, seconds=seconds):
                moved = f", {self._pushing}" if str(self._pushing) else ""
                self._finish(self.image, f"{origin}{moved}", seconds)
                self._pushing = _Moved()
            case events.ImagePushed():
                pass
            case _:
                return False
        return True

    def _take_bundle(self, event: Event) -> bool:
        match event:
            case events.TreeScanned(files=files, size=size):
                self._at(
                    self.bundle, f"{readable_entries(files)}, {readable_size(size)}"
                )
            case events.UploadProgressed(done=done, total=total):
                sent = f"{readable_size(done)} of {readable_size(total)}"
                self._at(self.bundle, f"uploading {sent}")
            case events.BundleUploaded(origin=origin, uploaded_bytes=sent):
                moved = f", {readable_size(sent)} sent" if sent else ""
                self._finish(self.bundle, f"{origin}{moved}", event.seconds)
            case _:
                return False
        return True

    def _take_build(self, event: Event) -> bool:
        match event:
            case events.BuildStarted(platform=platform):
                self._at(self.image, f"building for {platform}")
            case events.BuildStepStarted(step=step) | events.BuildLogged(step=step):
                self._at(self.image, step)
            case events.PushProgressed(layer=layer, done=done, total=total):
                self._pushing.progress[layer] = (done, total)
                self._at(self._pusher(), f"pushing {self._pushing}")
            case events.BlobPushed(layer=layer, reused=reused, size=size):
                if size and not reused:
                    self._pushing.progress[layer] = (size, size)
                self._pushing.reused += reused and layer != "config"
                self._pushing.pushed += not reused and layer != "config"
                self._at(self._pusher(), str(self._pushing))
            case events.BuildStepFinished() | events.BuildFinished():
                pass
            case _:
                return False
        return True

    def _take_start(self, event: Event) -> bool:
        match event:
            case events.CodeDelivered(origin=origin, seconds=seconds):
                self._finish(self.code, origin, seconds)
            case events.PullProgressed(layer=layer, done=done, total=total):
                self._pulling.progress[layer] = (done, total)
                self._at(self.start, f"pulling {self._pulling}")
            case events.ImagePulled(seconds=seconds):
                self._at(self.start, f"pulled [{readable_time(seconds)}]")
            case events.TaskStarted(target=target):
                self._at(self.start, f"starting on {target}")
            case _:
                return False
        return True

    def _pusher(self) -> Stage:
        return self.code if self.image.done else self.image

    def _at(self, stage: Stage, text: str) -> None:
        # An image found again after an edit is no news.
        if not stage.done:
            stage.text = text

    def _finish(self, stage: Stage, text: str, seconds: float) -> None:
        stage.text = f"{text} [{readable_time(seconds)}]"
        stage.done = True
