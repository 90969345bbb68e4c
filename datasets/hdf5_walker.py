"""A process that opens HDF5 files before ours does, and may die of them.

Damaged files can end the HDF5 library, and with it the whole process, where no exception can be caught: about one of 1,500
files with a few random bytes in them. This program reads a path a line; for each it forks a child that walks
through the file, reading all that a reader would, and prints in a line what became of the child: `fine`, `died`, `slow`, or
`greedy` where the library asked for more memory than such a file warrants: a few wrong bytes make it take gigabytes.

It imports h5py alone: nothing of Halfscan, no threads, so that forking is safe.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

import h5py

_SPARE, _UNPACKED = 64 << 20, 64
"""Memory that a walk may take: so many bytes, and the file so many times over, as it may be compressed."""
_SPACE = 4 << 30
"""Of a large file, no more than this and four times the file [bytes]."""
_GREEDY = 3
"""Exit status of a walk that was refused memory."""
_SLOW_S, _BYTES_PER_S = 30, 5_000_000
"""Beyond this a walk is slow: a start, and the file at this rate."""
_WHOLE = 1 << 24
"""A data set up to so many bytes is read at once, a longer one in parts."""


def main() -> None:
    for line in sys.stdin:
        print(_outcome(json.loads(line)), flush=True)


def _outcome(path: str) -> str:
    child = os.fork()
    if child == 0:
        try:
            size = os.path.getsize(path)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (_taken() + _SPARE + min(_UNPACKED * size, _SPACE + 4 * size),) * 2)
            signal.alarm(_SLOW_S + size // _BYTES_PER_S)
            walk(path)
        except Exception as error:
            # What else raises here raises in the reader, too, and is named there; memory the reader would be given.
            if isinstance(error, MemoryError) or "alloc" in str(error).lower():
                os._exit(_GREEDY)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        return "greedy" if os.waitstatus_to_exitcode(status) == _GREEDY else "fine"
    return "slow" if os.WTERMSIG(status) == signal.SIGALRM else "died"


def _taken() -> int:
    """Address space of this process [bytes]; 4 GB where the system does not say."""
    try:
        with open("/proc/self/statm") as pages:
            return int(pages.read().split()[0]) * resource.getpagesize()
    except OSError:
        return _SPACE


def walk(path: str) -> None:
    """Reads attributes and whatever HDF5 has to decode; samples that lie in the file as in memory can kill nobody."""
    with h5py.File(path, "r") as file:
        waiting = [file]
        while waiting:
            group = waiting.pop()
            for owner in (group, *(item for item in group.values() if isinstance(item, h5py.Dataset))):
                for value in owner.attrs.values():
                    repr(value)
            for item in group.values():
                if isinstance(item, h5py.Group) and group is file:
                    waiting.append(item)
                elif isinstance(item, h5py.Dataset):
                    _decode(item)


def _decode(data: h5py.Dataset) -> None:
    plain = data.chunks is None and data.dtype.kind in "biufc"
    if plain or data.size == 0:
        return
    if data.ndim == 0 or data.size * data.dtype.itemsize <= _WHOLE:
        data[()]
        return
    rows = max(1, _WHOLE // max(1, data.dtype.itemsize * data.size // len(data)))
    for start in range(0, len(data), rows):
        data[start : start + rows]


if __name__ == "__main__":
    main()
