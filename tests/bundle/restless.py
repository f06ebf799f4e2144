"""A program that never stops changing a tree, in files that tell if they are torn."""

import hashlib
import mmap
import os
import sys
import time
from pathlib import Path
from random import Random

# Small ones share a pack, the next is a pack of its own, the last is streamed.
SIZES = [40, 3_000, 9_000, 70_000, 300_000, 5_000_000]


def made(version: int, size: int) -> bytes:
    """Return a content that says which it is, and differs in every part of it."""
    head = b"%d %d\n" % (version, size)
    seed = hashlib.sha256(head).digest()
    body = b"".join(
        hashlib.sha256(seed + number.to_bytes(4, "big")).digest() * 128
        for number in range(size // 4096 + 1)
    )
    return head + body[: size - len(head)]


def is_a_state(content: bytes) -> bool:
    """Whether a file ever was like this: whole, its first half, or empty.

    The kernel writes pages, and may let others run after any of them: whoever reads
    then, sees so many, for as long as the writer has to wait for its turn.
    """
    if not content:
        return True
    version, size = map(int, content.partition(b"\n")[0].split())
    whole = made(version, size)
    pages = len(content) % mmap.PAGESIZE == 0
    return content in (whole, whole[: size // 2]) or (
        pages and whole.startswith(content)
    )


def settle(root: Path) -> None:
    """Write all files once."""
    for number, size in enumerate(SIZES):
        (root / f"f{number}").write_bytes(made(number, size))


def _disturb(path: Path, version: int, dice: Random) -> None:
    size = SIZES[version % len(SIZES)]
    content = made(version, size)
    match dice.randrange(5):
        case 0:  # All of it in place, without another size when that is its own.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
            try:
                # Below a page the kernel writes at once; above, only this order shows
                # no mixture that was really there.
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, content, 0)
            finally:
                os.close(descriptor)
        case 1:  # In two steps.
            with path.open("wb", buffering=0) as file:
                file.write(content[: size // 2])
                time.sleep(dice.random() * 0.002)
                file.write(content[size // 2 :])
        case 2:  # The careful way.
            beside = path.with_name(f"{path.name}.new")
            beside.write_bytes(content)
            beside.rename(path)
        case 3:
            path.chmod(dice.choice([0o644, 0o755]))
        case _:  # Under another name for a moment.
            away = path.with_name(f"{path.name}.away")
            path.rename(away)
            time.sleep(dice.random() * 0.001)
            away.rename(path)


def main() -> None:
    """Change files until killed, at once and with pauses."""
    root, seed = Path(sys.argv[1]), int(sys.argv[2])
    dice = Random(seed)  # noqa: S311
    version = 1000
    print("ready", flush=True)
    while True:
        for _ in range(dice.randrange(1, 6)):
            version += 1
            number = dice.randrange(len(SIZES))
            _disturb(root / f"f{number}", version, dice)
        time.sleep(dice.choice([0, 0.001, 0.02, 0.2]))


if __name__ == "__main__":
    main()
