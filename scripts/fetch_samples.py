"""Fetches freely licensed raw scans by name, for a first try of the readers. Nothing else in Halfscan downloads anything.

    python scripts/fetch_samples.py                          # lists them: licence, size, what they show
    python scripts/fetch_samples.py twix_gre --out samples   # fetches one; the same command goes on where it stopped

Each address names a commit, so that a file can't change behind it; where its digest is known, the file is checked before it
takes its name.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from halfscan.bench.progress import progress

_CHUNK = 2**18
_RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A file that anyone may use."""

    url: str
    licence: str
    shows: str
    dataset: str
    """`dataset=` that reads it."""
    sha256: str | None = None


_TUTORIALS = f"{_RAW}/pulseq/tutorials/651dcc7bb46353ceb05783acd39c603abca13ca3"
_PHYSICS = (
    f"{_RAW}/pulseq/MR-Physics-with-Pulseq/446ac401ff5b2e1ab4ca5a6d36fc7434a83afd99/tutorials/04_hardware_and_imprefections/data"
)
SAMPLES = {
    "twix_gre": Sample(
        url=f"{_RAW}/pehses/twixtools/ab8210e15ea38b3f35daa945e273acbac3f01d9f/example_data/gre.dat",
        licence="MIT",
        shows="phantom, 2 channels, 160 × 160, 2.89 T",
        dataset="twix",
        sha256="10ce71c8cba94fb47989fe69d45c86673508f178e8b4c2399e805f27936b01ca",
    ),
    "twix_grid": Sample(
        url=f"{_TUTORIALS}/02_basic_gradient_echo/data/01_GRE_example.dat",
        licence="CC0-1.0",
        shows="phantom, a grid",
        dataset="twix",
    ),
    "twix_brain": Sample(
        url=f"{_PHYSICS}/2024-02-06-164128.dat",
        licence="MIT",
        shows="brain, 16 channels, 128 × 128, 2.89 T",
        dataset="twix",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if not options.names:
        for name, sample in SAMPLES.items():
            print(f"{name:<12} {sample.licence:<8} dataset={sample.dataset}: {sample.shows}; {sample.url}")
        return 0
    failed = 0
    for name in options.names:
        sample = SAMPLES[name]
        path = options.out / urllib.parse.unquote(sample.url.rpartition("/")[2])
        try:
            digest = fetch(sample, path)
        except (OSError, ValueError) as error:
            print(f"{name}: {' '.join(str(error).split())}; the same command goes on where it stopped", file=sys.stderr)
            failed += 1
            continue
        known = "as it must be" if sample.sha256 else "of which none was known: the address names a commit"
        print(f"{path}: {sample.licence}, SHA-256 {digest}, {known}. Use it: dataset={sample.dataset} dataset.path={path}")
    return 1 if failed else 0


def fetch(sample: Sample, path: Path) -> str:
    """Downloads a sample, or the rest of it; it takes its name when it is whole.

    Returns:
        Its SHA-256.

    Raises:
        OSError: the address can't be reached, or the connection broke.
        ValueError: other bytes than those that were published.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        _download(sample.url, part)
        if sample.sha256 and (found := _digest(part)) != sample.sha256:
            part.unlink()
            raise ValueError(f"{sample.url}: SHA-256 is {found} and must be {sample.sha256}; the download is thrown away")
        part.replace(path)
    found = _digest(path)
    if sample.sha256 and found != sample.sha256:
        raise ValueError(f"{path}: is another file (SHA-256 {found}): move it away")
    return found


def _download(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to fetch
            return
        raise
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        with progress(part.stem, max(1, length // _CHUNK)) as advance:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                advance()
        if length and file.tell() != (have if answer.status == 206 else 0) + length:
            raise OSError(f"{url}: the connection broke after {file.tell():,} bytes")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*SAMPLES, []], help="samples to fetch; none: list them")
    parser.add_argument("--out", type=Path, default=Path("samples"), help="folder (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
