"""Makes a data set ready that you downloaded: unpacks it, opens every file, reads each once, and names what can't be used.

    python scripts/prepare_data.py dataset=fastmri knee_multicoil_val_batch_0.tar.xz --out knees
    python scripts/prepare_data.py dataset=m4raw multicoil_train/          # a folder that is unpacked already

Members that lie there whole are not unpacked again, files that were read are not read again: the same command goes on where it
stopped. The pass over the samples (digest, empty lines, NaN) is what the first sweep would do otherwise. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from halfscan.bench.configuration import build, compose_run, to_plain
from halfscan.bench.errors import HalfscanError, one_line
from halfscan.bench.files import whole_file
from halfscan.bench.progress import progress


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    overrides = [word for word in options.words if "=" in word]
    sources = [Path(word) for word in options.words if "=" not in word]
    try:
        if len(sources) != 1:
            raise HalfscanError("give one archive (.tar, .tar.gz, .tar.xz, .zip) or one folder")
        folder = _unpacked(sources[0], options.out)
        volumes, refused = look(overrides, folder)
    except HalfscanError as error:
        print(f"prepare_data: {one_line(error)}", file=sys.stderr)
        return 2
    print(f"{folder}: {volumes} volumes are ready; use dataset.path={folder}")
    for line in refused:
        print(f"can't be used: {line}")
    return 1 if refused else 0


def look(overrides: list[str], folder: Path) -> tuple[int, list[str]]:
    """Opens a folder's files one after another.

    Returns:
        How many volumes can be used, and a line for every file that can't.
    """
    node = to_plain(compose_run([*overrides, f"++dataset.path={json.dumps(str(folder))}"], ["dataset"]))["dataset"]
    # M4Raw's files mean something only together.
    together = node["name"] == "m4raw"
    paths = [folder] if together else sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".json")
    volumes, refused = 0, []
    with progress("files", len(paths)) as advance:
        for path in paths:
            try:
                volumes += len(build({**node, "path": str(path)}, "dataset").acquisitions())
            except HalfscanError as error:
                refused.append(one_line(error))
            advance()
    return volumes, refused


def _unpacked(source: Path, out: Path | None) -> Path:
    """The folder of the files: `source` itself, or what it is unpacked to."""
    if source.is_dir():
        return source
    if out is None:
        raise HalfscanError(f"{source}: is an archive: say with --out where to unpack it")
    if not source.exists():
        raise HalfscanError(f"{source}: no such archive or folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, size, stream in _members(source):
            target = out / PurePosixPath(name).name
            if target.exists() and target.stat().st_size == size:
                continue
            if shutil.disk_usage(out).free < size:
                raise HalfscanError(f"{out}: no space for {target.name} ({size:,} bytes)")
            print(f"unpacking {target.name}", file=sys.stderr)
            with whole_file(target) as draft, draft.open("wb") as file:
                shutil.copyfileobj(stream, file, 2**20)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise HalfscanError(f"{source}: can't be unpacked ({one_line(error)}); is it whole?") from error
    return out


def _members(source: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """(name, bytes, content) of an archive's files, in its order. Only names are taken of paths: nothing lands elsewhere."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    with archive.open(entry) as stream:
                        yield entry.filename, entry.file_size, stream
        return
    with tarfile.open(source, "r:*") as archive:
        for member in archive:
            if member.isfile() and (content := archive.extractfile(member)) is not None:
                yield member.name, member.size, content


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="+", help="dataset=NAME and its settings; one archive or folder")
    parser.add_argument("--out", type=Path, help="folder to unpack an archive to")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
