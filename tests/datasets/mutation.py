"""Damaged files by the hundred, from a seed: flipped bytes, cut, lengthened, overwritten and shuffled ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halfscan.bench.errors import HalfscanError
from halfscan.datasets.source import Source

MOST_MEMORY = 32 << 20
"""Peak that reading a file of some kilobytes may take [bytes]."""
_EDGES = (0, 1, 127, 128, 255)


def mutations(good: bytes, count: int, seed: int, *, text: bool = False, head: int | None = None) -> Iterator[bytes]:
    """Versions of a file, each damaged in one of six ways.

    Args:
        good: the whole file.
        count: how many.
        seed: of what is done to it.
        text: digits and blanks are put in as well.
        head: in half of the versions only the first so many bytes are damaged, where headers lie.
    """
    rng = np.random.default_rng(seed)
    for index in range(count):
        changed = bytearray(good)
        reach = min(head or len(good), len(good)) if index % 2 else len(good)
        way = int(rng.integers(6))
        if way == 0:
            del changed[int(rng.integers(len(good))) :]
        elif way == 1:
            changed += rng.bytes(int(rng.integers(1, 64)))
        elif way == 2:
            at, size = int(rng.integers(reach)), int(rng.integers(1, 9))
            changed[at : at + size] = rng.bytes(size)
        elif way == 3:
            at, size = int(rng.integers(reach)), int(rng.integers(1, 32))
            del changed[at : at + size]
        else:
            for at in rng.integers(reach, size=int(rng.integers(1, 5))):
                if text and way == 4:
                    changed[at] = int(rng.choice(list(b"0123456789 -.\n#")))
                elif way == 4:
                    changed[at] = int(rng.choice(_EDGES))
                else:
                    changed[at] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


def read_or_refused(source: Source, path: Path, planted: str = "\n") -> bool:
    """Whether a file is read; what is read must be finite, what is refused named in one line without what was planted in it,
    and memory small either way.
    """
    message = None
    tracemalloc.start()
    try:
        for volume in source.acquisitions():
            samples = volume.kspace.read()
            assert samples.shape == volume.kspace.shape
            assert samples.dtype == np.complex64
            assert np.isfinite(samples).all()
    except HalfscanError as refused:
        message = str(refused)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY, f"{path}: {peak:,} bytes"
    assert message is None or (path.name in message and "\n" not in message and planted not in message), message
    return message is None
