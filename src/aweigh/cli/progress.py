"""Events as lines on stderr: one line per change, the same in a terminal and in CI."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from aweigh import events
from aweigh.cli.output import readable_entries, readable_size, readable_time
from aweigh.events import silent

if TYPE_CHECKING:
    import argparse

    from aweigh.events import Event, Listener

__all__ = ["line", "print_event", "progress"]

_STEP_WIDTH = 100
_MOUNT = re.compile(r"--mount=\S+ ")


def progress(arguments: argparse.Namespace) -> Listener:
    """Return the listener that a command's options ask for."""
    return silent if arguments.quiet else print_event


def print_event(event: Event, /) -> None:
    """Print an event if it is worth a line."""
    text = line(event)
    if text:
        print(text, file=sys.stderr, flush=True)


def line(event: Event) -> str:
    """Describe an event in one line; empty when it is not worth one.

    An answer from memory is told first: the modules of the other events stay unread.
    """
    return (
        _of_anything(event)
        or _of_image(event)
        or _of_bundle(event)
        or _of_build(event)
        or _of_flow(event)
        or _of_dev_loop(event)
    )


def _of_anything(event: Event) -> str:
    """Describe what can happen to any work."""
    match event:
        case events.Waited():
            waited = readable_time(event.seconds)
            return f"wait    {event.purpose} by {event.holder} [{waited}]"
        case events.Retried():
            delay = readable_time(event.delay)
            return f"retry   {event.what} in {delay}: {event.reason}"
        case events.Warned():
            return f"warning {event.message}; {event.hint}"
        case _:
            return ""


def _of_image(event: Event) -> str:
    """Describe what a call for an image found out."""
    match event:
        case events.Checked():
            why = f" ({event.reason})" if event.reason else ""
            took = readable_time(event.seconds)
            return f"image   {event.checker}: {event.verdict}{why} [{took}]"
        case events.ImagePushed():
            took = readable_time(event.seconds)
            return f"image   pushed {event.reference} [{took}]"
        case events.ImageEnsured():
            return f"image   ready: {event.origin} [{readable_time(event.seconds)}]"
        case _:
            return ""


def _of_bundle(event: Event) -> str:
    """Describe what becomes of a directory."""
    match event:
        case events.TreeScanned():
            size, took = readable_size(event.size), readable_time(event.seconds)
            count = readable_entries(event.files)
            return f"bundle  {count}, {size}, {event.read} read [{took}]"
        case events.FileSkipped():
            return f"bundle  left out {event.path}: {event.kind}"
        case events.BundleUploaded():
            sent = (
                f", {readable_size(event.uploaded_bytes)} sent"
                if event.uploaded_bytes
                else ""
            )
            took = readable_time(event.seconds)
            return f"bundle  ready: {event.origin}{sent} [{took}]"
        case _:
            return ""


def _of_build(event: Event) -> str:
    """Describe what a build does."""
    match event:
        case events.BuildStarted():
            return f"image   building {event.reference} for {event.platform}"
        case events.BuildStepFinished():
            done = "cached" if event.cached else readable_time(event.seconds)
            return f"build   {_short(event.step)} [{done}]"
        case events.BuildLogged():
            return f"build   | {event.line}"
        case events.BuildFinished():
            return f"image   built [{readable_time(event.seconds)}]"
        case events.BlobPushed():
            size = f", {readable_size(event.size)}" if event.size else ""
            done = "reused" if event.reused else "pushed"
            return f"push    {event.layer} {done}{size}"
        case _:
            return ""


def _of_flow(event: Event) -> str:
    """Describe what becomes of tasks and services."""
    match event:
        case events.CodeDelivered():
            return f"code    ready: {event.origin} [{readable_time(event.seconds)}]"
        case events.ImagePulled():
            return f"start   pulled the image [{readable_time(event.seconds)}]"
        case events.TaskStarted():
            return f"start   {event.name} on {event.target}"
        case events.TaskFinished():
            took = readable_time(event.seconds)
            return f"end     exit code {event.exit_code} [{took}]"
        case events.ServiceDeployed():
            where = f" at {event.url}" if event.url else ""
            took = readable_time(event.seconds)
            return f"deploy  {event.name} is well on {event.target}{where} [{took}]"
        case _:
            return ""


def _of_dev_loop(event: Event) -> str:
    """Describe the versions of a dev loop."""
    match event:
        case events.ServeSwitched():
            took = readable_time(event.seconds)
            return f"serve   version {event.version} answers at {event.url} [{took}]"
        case events.ServeKept():
            return (
                f"serve   version {event.version} failed, version {event.kept} stays: "
                f"{event.reason}\n  hint: {event.hint}"
            )
        case events.ServeEnded():
            return (
                f"serve   version {event.version} ended with exit code "
                f"{event.exit_code}; the next edit starts it again"
            )
        case _:
            return ""


def _short(step: str) -> str:
    """Name a step by what it does: mounts say nothing to people."""
    text = _MOUNT.sub("", step)
    return text if len(text) <= _STEP_WIDTH else f"{text[: _STEP_WIDTH - 1]}…"
