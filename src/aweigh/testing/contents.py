"""What a `FakeRegistry` holds, and its answers about it."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import re

__all__ = ["READS", "Contents", "refusal"]

READS = frozenset({"GET", "HEAD"})
_INDEX = "application/vnd.oci.image.index.v1+json"
_API = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Contents:
    """Repositories with manifests and blobs (OCI distribution spec, the core of it).

    Attributes:
        mounts: Whether blobs can be mounted from another repository.
        says_digest: Whether manifests come with ``Docker-Content-Digest``.
        referrers: Whether it lists what is attached to a manifest.
        uploads: The uploads that are open, by session.
    """

    mounts: bool
    says_digest: bool
    referrers: bool = False
    uploads: dict[str, bytes] = field(default_factory=dict)
    _repositories: dict[str, _Repository] = field(default_factory=dict)

    def __contains__(self, repository: str) -> bool:
        return repository in self._repositories

    def repository(self, name: str) -> _Repository:
        """Return a repository; an empty one for a name that was never written to."""
        return self._repositories.get(name, _Repository())

    def hold_blob(self, repository: str, content: bytes) -> str:
        """Hold a blob; return its digest."""
        digest = _digest(content)
        self._repositories.setdefault(repository, _Repository()).blobs[digest] = content
        return digest

    def hold_manifest(
        self, repository: str, name: str, content: bytes, media_type: str
    ) -> str:
        """Hold a manifest under a name and its digest; return the digest."""
        digest = _digest(content)
        held = self._repositories.setdefault(repository, _Repository()).manifests
        held[name] = held[digest] = (content, media_type)
        return digest

    async def answer(self, request: web.Request, match: re.Match[str]) -> web.Response:
        """Answer a request whose path was taken apart."""
        name = match["name"]
        if match["reference"] is not None:
            return await self._manifest(request, name, match["reference"])
        if match["digest"] is not None:
            return self._blob(request, name, match["digest"])
        if match["subject"] is not None:
            return self._referrers(name, match["subject"])
        return await self._upload(request, name, match["session"])

    async def _manifest(
        self, request: web.Request, name: str, reference: str
    ) -> web.Response:
        held = self.repository(name).manifests
        if request.method == "PUT":
            content = await request.read()
            self.hold_manifest(
                name, reference, content, request.headers.get("Content-Type", "")
            )
            headers = _API | _named(_digest(content))
            if self.referrers and (subject := _subject(content)):
                headers["OCI-Subject"] = subject
            return web.Response(status=201, headers=headers)
        if reference not in held:
            return refusal(404, "MANIFEST_UNKNOWN")
        content, media_type = held[reference]
        if request.method == "DELETE":
            for key in [key for key, value in held.items() if value[0] == content]:
                del held[key]
            return web.Response(status=202, headers=_API)
        if media_type not in request.headers.get("Accept", ""):
            return refusal(404, "MANIFEST_UNKNOWN")
        headers = {**_API, "Content-Type": media_type}
        if self.says_digest:
            headers |= _named(_digest(content))
        return web.Response(body=content, headers=headers)

    def _blob(self, request: web.Request, name: str, digest: str) -> web.Response:
        content = self.repository(name).blobs.get(digest)
        if content is None or request.method not in READS:
            return refusal(404, "BLOB_UNKNOWN")
        return web.Response(
            body=content,
            headers={**_API, "Content-Type": "application/octet-stream"},
        )

    def _referrers(self, name: str, subject: str) -> web.Response:
        """List what is attached (distribution spec 1.1, "Listing Referrers")."""
        if not self.referrers:
            return refusal(404, "NOT_FOUND")
        found = [
            {
                "mediaType": media_type,
                "digest": digest,
                "size": len(content),
                "artifactType": json.loads(content).get("artifactType", ""),
            }
            for digest, (content, media_type) in self.repository(name).manifests.items()
            if digest == _digest(content) and _subject(content) == subject
        ]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        return web.json_response(index, content_type=_INDEX, headers=_API)

    async def _upload(
        self, request: web.Request, name: str, session: str
    ) -> web.Response:
        if request.method == "POST":
            return self._begin(request, name)
        if session not in self.uploads:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "DELETE":
            del self.uploads[session]
            return web.Response(status=204, headers=_API)
        content = self.uploads.pop(session) + await request.read()
        if _digest(content) != request.query.get("digest"):
            return refusal(400, "DIGEST_INVALID")
        digest = self.hold_blob(name, content)
        return web.Response(status=201, headers=_API | _named(digest))

    def _begin(self, request: web.Request, name: str) -> web.Response:
        source = self.repository(request.query.get("from", ""))
        digest = request.query.get("mount", "")
        if self.mounts and digest in source.blobs:
            self.hold_blob(name, source.blobs[digest])
            return web.Response(status=201, headers=_API | _named(digest))
        session = uuid.uuid4().hex
        self.uploads[session] = b""
        location = f"/v2/{name}/blobs/uploads/{session}?_state=a%2Fb%3D"
        return web.Response(status=202, headers={**_API, "Location": location})


def refusal(status: int, code: str) -> web.Response:
    """Answer with an error of the distribution spec."""
    error = {"code": code, "message": code.replace("_", " ").lower()}
    return web.json_response({"errors": [error]}, status=status, headers=_API)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _subject(content: bytes) -> str:
    """Return the digest of what a manifest is about; empty for all but artifacts."""
    try:
        return str(json.loads(content)["subject"]["digest"])
    except (ValueError, LookupError, TypeError):
        return ""


def _named(digest: str) -> dict[str, str]:
    return {"Docker-Content-Digest": digest}
