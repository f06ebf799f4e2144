"""Where the real services of the tests are: what `.ci/setup` wrote down."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

DEFAULT_DIRECTORY = Path("/var/lib/aweigh-services")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Addresses and credentials of the services that `.ci/setup` started.

    Attributes:
        engine: Docker Engine, as `unix:///path`.
        registry: Open registry over plain HTTP, as `host:port`.
        registry_log: Access log of the open registry: Apache's combined format, one
            line for each answered request.
        registry_data: Storage root of the open registry; what is removed there is
            gone at once, for it caches nothing.
        secure_registry: Registry with TLS and basic authentication, as `host:port`.
        secure_ca: CA certificate (PEM) of the secure registry.
        secure_username: User of the secure registry.
        secure_password: Password of the secure registry.
        secure_log: Access log of the secure registry, in the same format.
        s3_endpoint: S3 API, as `http://host:port`.
        s3_bucket: A bucket that exists; empty after each start of the server.
        s3_access_key: Access key the S3 API accepts.
        s3_secret_key: Secret key the S3 API accepts.
        base: Reference of the base image in the open registry.
        secure_base: Reference of the same image in the secure registry.
        swarm: Docker Engine that manages a swarm of two nodes, as `unix:///path`;
            both registries have the same addresses there.
        swarm_worker: Docker Engine of the second node.
        swarm_worker_pid: File that begins with the process id of that engine; after
            a kill, `.ci/setup` starts it again.
    """

    engine: str
    registry: str
    registry_log: Path
    registry_data: Path
    secure_registry: str
    secure_ca: Path
    secure_username: str
    secure_password: str = field(repr=False)
    secure_log: Path
    s3_endpoint: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)
    base: str
    secure_base: str
    swarm: str
    swarm_worker: str
    swarm_worker_pid: Path

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read one `services.json`.

        Raises:
            FileNotFoundError: Nothing was set up there.
            PermissionError: It was set up by, and for, another user.
            KeyError: It was written by another version of `.ci/setup`.
        """
        values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            engine=values["engine"],
            registry=values["registry"],
            registry_log=Path(values["registry_log"]),
            registry_data=Path(values["registry_data"]),
            secure_registry=values["secure_registry"],
            secure_ca=Path(values["secure_ca"]),
            secure_username=values["secure_username"],
            secure_password=values["secure_password"],
            secure_log=Path(values["secure_log"]),
            s3_endpoint=values["s3_endpoint"],
            s3_bucket=values["s3_bucket"],
            s3_access_key=values["s3_access_key"],
            s3_secret_key=values["s3_secret_key"],
            base=values["base"],
            secure_base=values["secure_base"],
            swarm=values["swarm"],
            swarm_worker=values["swarm_worker"],
            swarm_worker_pid=Path(values["swarm_worker_pid"]),
        )


def setting(name: str) -> str:
    """Return an environment variable that steers the tests; unset is empty."""
    return os.environ.get(name, "")  # noqa: TID251 - the tests' one look at it


def find_services() -> Services | None:
    """Return the services of this machine, or None when they are not set up.

    `AWEIGH_SERVICES_DIR` names the state directory, as it does for `.ci/setup`.

    Raises:
        PermissionError: The services were set up for another user.
        KeyError: They were set up by another version of `.ci/setup`.
    """
    directory = setting("AWEIGH_SERVICES_DIR") or DEFAULT_DIRECTORY
    try:
        return Services.from_file(Path(directory) / "services.json")
    except FileNotFoundError:
        return None
