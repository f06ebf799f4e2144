"""Makes ports of this machine's loopback answer on the loopback of other namespaces.

Usage: relay.py PORT[,PORT...] NAMESPACE... (paths such as /run/netns/NAME)

A socket belongs to the network namespace it was made in: each listening one is made
inside its namespace, and what connects to it is passed on outside. So a registry has
one name, the same for this machine and for every node.
"""

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
PIECE = 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Make the sockets to come belong to another namespace."""
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def listen_inside(path: str, ports: list[int], home: int) -> list[socket.socket]:
    """Return a listening socket of a namespace for each port."""
    namespace = os.open(path, os.O_RDONLY)
    try:
        enter(namespace)
        return [socket.create_server(("127.0.0.1", port)) for port in ports]
    finally:
        enter(home)
        os.close(namespace)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on everything, and the end of it."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect to the same port outside and pass on both directions."""
    port = writer.get_extra_info("sockname")[1]
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
    except OSError:
        pass  # one side is gone: so is the connection
    finally:
        writer.close()
        far_writer.close()


async def main(ports: list[int], namespaces: list[str]) -> None:
    """Relay until we are stopped."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    for path in namespaces:
        for listener in listen_inside(path, ports, home):
            await asyncio.start_server(relay, sock=listener)
    await asyncio.Event().wait()


asyncio.run(main([int(port) for port in sys.argv[1].split(",")], sys.argv[2:]))
