"""What the assembler's tests share: tiny wheels, bases, and a resolver without uv."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from aweigh.image.build import BuildRequest
from aweigh.image.files import take_snapshot
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.resolve import ResolveRequest
from aweigh.image.spec import ImageSpec
from aweigh.image.wheels import distribution
from aweigh.oci import Descriptor, Digest, Manifest, Platform, Reference
from aweigh.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from aweigh.testing import FakeRegistry

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
_RELEASE = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0"


def write_wheel(
    directory: Path,
    name: str,
    files: dict[str, str],
    *,
    version: str = "1.0",
    tags: str = "py3-none-any",
    scripts: dict[str, str] | None = None,
    wrong_record: bool = False,
) -> Path:
    """Write a wheel with these files, console scripts, and a RECORD."""
    info = f"{name}-{version}.dist-info"
    texts = dict(files)
    texts[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )
    texts[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n"
    if scripts:
        points = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        texts[f"{info}/entry_points.txt"] = f"[console_scripts]\n{points}"
    rows = [
        _row(path, "else" if wrong_record else text) for path, text in texts.items()
    ]
    texts[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    path = directory / f"{name}-{version}-{tags}.whl"
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in texts.items():
            entry = zipfile.ZipInfo(place, (2020, 1, 1, 0, 0, 0))
            mode = 0o755 if ".data/scripts/" in place else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, text)
    return path


def _row(path: str, text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    digest = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text.encode())}\n"


def tar(entries: dict[str, bytes | str]) -> bytes:
    """Pack files (bytes) and symlinks (their targets) as a gzipped layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in entries.items():
            entry = tarfile.TarInfo(path)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def unpacked_layer(content: bytes, media_type: str) -> bytes:
    """Decompress a layer."""
    if media_type == OCI_LAYER_GZIP:
        return gzip.decompress(content)
    assert media_type == OCI_LAYER_ZSTD
    unpacker = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    return unpacker.decompress(content)


def root_files(python: str = "3.11", machine: str = "x86_64") -> dict[str, bytes | str]:
    """List a root file system with Python, glibc 2.36 and a merged /usr."""
    return {
        "bin": "usr/bin",
        f"usr/bin/python{python}": b"ELF",
        "usr/bin/python3": f"python{python}",
        f"usr/lib/{machine}-linux-gnu/libc.so.6": b"\x7fELF" + _RELEASE,
        "var/run": "/run",
    }


@dataclass(slots=True, kw_only=True)
class SmallBase:
    """A base of any content, put into a fake registry."""

    layers: list[bytes] = field(default_factory=lambda: [tar(root_files())])
    platform: Platform = AMD64
    environment: tuple[str, ...] = ()
    media_type: str = OCI_MANIFEST
    broken: bool = False

    def hold(self, fake: FakeRegistry, repository: str = "bases/small") -> Reference:
        """Let a registry hold it; return its reference."""
        plain = [gzip.decompress(layer) for layer in self.layers if not self.broken]
        config = json.dumps({
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "config": {"Env": list(self.environment), "Cmd": ["sh"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [str(Digest.of(one)) for one in plain],
            },
            "history": [{"created_by": "somebody"} for _ in plain],
        }).encode()  # fmt: skip
        for content in (config, *self.layers):
            fake.add_blob(repository, content)
        manifest = Manifest(
            config=_describe(config, OCI_CONFIG),
            layers=tuple(_describe(one, OCI_LAYER_GZIP) for one in self.layers),
            media_type=self.media_type,
        )
        fake.add_manifest(repository, "1", manifest.to_bytes(), self.media_type)
        return Reference.parse(f"{fake.host}/{repository}:1")


def _describe(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(
        media_type=media_type, digest=Digest.of(content), size=len(content)
    )


@dataclass(slots=True)
class WheelResolver:
    """Locks exactly the wheels of a spec's wheel steps.

    Attributes:
        requests: What was asked for.
        heavy: Names whose wheels count as large.
    """

    requests: list[ResolveRequest] = field(default_factory=list)
    heavy: frozenset[str] = frozenset()

    async def resolve(self, request: ResolveRequest, /) -> Lock:
        """Pin the wheels."""
        self.requests.append(request)
        wheels = tuple(
            _locked(member.path, member.digest, member.size, self.heavy)
            for member in request.snapshot.members
            if member.path.endswith(".whl") and member.digest is not None
        )
        packages = "".join(
            f'[[packages]]\nname = "{one.name}"\nversion = "{one.version}"\n'
            for one in wheels
        )
        return Lock(
            python=request.python,
            platform=request.platform,
            wheels=wheels,
            text=f'lock-version = "1.0"\n{packages}',
        )


def _locked(path: str, digest: Digest, size: int, heavy: frozenset[str]) -> LockedWheel:
    filename = path.rpartition("/")[2]
    name = distribution(filename)
    return LockedWheel(
        name=name,
        version=filename.split("-")[1],
        filename=filename,
        url=path,
        digest=digest,
        size=30_000_000 if name in heavy else size,
        step=0,
    )


def request_of(
    spec: ImageSpec,
    root: Path,
    reference: Reference,
    *,
    platform: Platform = AMD64,
    labels: dict[str, str] | None = None,
    refresh: bool = False,
) -> BuildRequest:
    """Ask for one platform of a spec."""
    snapshot = take_snapshot(spec, root)
    return BuildRequest(
        spec=spec,
        snapshot=snapshot,
        reference=reference,
        platform=platform,
        base=snapshot.base,
        labels=labels or {},
        refresh=refresh,
    )


def wheel(filename: str, *, step: int = 0) -> LockedWheel:
    """Lock a file of this name."""
    return LockedWheel(
        name="a",
        version="1.0",
        filename=filename,
        url=f"https://files.test/{filename}",
        digest=Digest.of(b"a"),
        size=None,
        step=step,
    )
