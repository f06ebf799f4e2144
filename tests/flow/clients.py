"""Clients of a dev loop that notice every request that fails."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


def get(url: str, path: str = "/") -> str:
    """Ask once, over a connection of its own."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode()}"
    finally:
        connection.close()


@dataclass
class Client:
    """Asks without a pause, over one connection for as long as it lasts."""

    url: str
    keep: bool
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    connections: int = 0
    done: bool = False

    def run(self) -> None:
        """Ask until it is done."""
        connection: http.client.HTTPConnection | None = None
        number = 0
        while not self.done:
            number += 1
            try:
                if connection is None:
                    host = self.url.removeprefix("http://")
                    connection = http.client.HTTPConnection(host, timeout=10)
                    self.connections += 1
                if number % 3:
                    connection.request("GET", "/")
                else:
                    connection.request("POST", "/", body=b"x" * 100_000)
                answer = connection.getresponse()
                body = answer.read().decode()
                if answer.status != 200 or (number % 3 == 0 and len(body) != 100_000):
                    self.failures.append(f"{answer.status} {body[:80]}")
                elif number % 3:
                    self.answers.append(body)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = None
            if connection is not None and not self.keep:
                connection.close()
                connection = None
            time.sleep(0.002)
        if connection is not None:
            connection.close()


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[list[Client]]:
    """Let a client with keep-alive and one without ask all the time."""
    asking = [Client(url, keep=True), Client(url, keep=True), Client(url, keep=False)]
    threads = [asyncio.create_task(asyncio.to_thread(each.run)) for each in asking]
    try:
        yield asking
    finally:
        for each in asking:
            each.done = True
        await asyncio.gather(*threads)
