"""Sends one HTTP request to one address: TLS, proxies, nothing remembered."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from aweigh.backends.registry.endpoint import is_loopback
from aweigh.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from typing import Any

    from aweigh.backends.registry.endpoint import Endpoint

__all__ = ["Wire", "open_wire"]


class Wire:
    """The HTTP client of a session, without authentication, cookies or redirects."""

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext) -> None:
        self._session = session
        self._tls = tls

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        data: Any,
    ) -> aiohttp.ClientResponse:
        """Send a request and return its answer, whose body the caller reads.

        The certificate goes unchecked only at the address that was named insecure.
        """
        unchecked = not endpoint.verified and url.origin() == endpoint.origin
        proxy, permit = _proxy(url)
        tunnelled = url.scheme == "https"
        return await self._session.request(
            method,
            url,
            headers=headers if tunnelled else {**headers, **permit},
            data=data,
            allow_redirects=False,
            ssl=False if unchecked else self._tls,
            proxy=proxy,
            proxy_headers=permit if tunnelled else None,
        )


@asynccontextmanager
async def open_wire(ca_file: Path | None) -> AsyncIterator[Wire]:
    """Open the HTTP client; closing it closes every connection.

    Args:
        ca_file: A file of CA certificates (PEM) to trust besides the system's, or
            besides the ones that ``SSL_CERT_FILE`` names.

    Raises:
        SettingsError: ``ca_file`` cannot be read or holds no certificate.
    """
    tls = await asyncio.to_thread(_trust, ca_file)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Would read netrc too, and send it to whoever has the right name.
        trust_env=False,
        # A few KiB can become gigabytes; digests are those of the bytes that came.
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "aweigh"},
        # Whoever asks has a deadline around everything.
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield Wire(session, tls)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise SettingsError(
                f"{ca_file} holds no usable CA certificate",
                hint="name a readable PEM file",
            ) from error
    return context


def _proxy(url: URL) -> tuple[URL | None, Mapping[str, str]]:
    """Return the proxy that the environment names for this URL, and its password.

    The registry never sees that password: it is in the tunnel's own request, or in a
    plain one, which the proxy takes it out of.
    """
    host = url.host or ""
    if is_loopback(url) or urllib.request.proxy_bypass(f"{host}:{url.port}"):
        return None, {}
    text = urllib.request.getproxies().get(url.scheme)
    if not text:
        return None, {}
    proxy = URL(text if "://" in text else f"http://{text}")
    if proxy.user is None:
        return proxy, {}
    permit = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
    return proxy.with_user(None), {"Proxy-Authorization": permit}
