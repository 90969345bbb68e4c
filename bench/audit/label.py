"""What an audit does to a volume's label: measured k-space whose samples show that it was processed counts as processed."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from ..acquisition import Acquisition, Provenance
from ..files import write_json
from ..sources import source_hash
from .audit import audit
from .findings import strongest

log = logging.getLogger(__name__)

_AUDIT = __name__.rpartition(".")[0] + ".audit"


def as_found(acquisition: Acquisition) -> Acquisition:
    """The volume with the label that its samples bear out.

    A claim needs measured k-space, and a file's name or a reader's default says nothing of what was done to the samples before.
    Findings are remembered by the content of the volume and the audit's own sources.
    """
    if acquisition.provenance is not Provenance.MEASURED:
        return acquisition
    path = audits_folder() / f"{acquisition.digest}-{source_hash(_AUDIT)[:16]}.json"
    try:
        said = json.loads(path.read_text("utf-8"))["strongest"]
    except (OSError, ValueError, KeyError, TypeError):
        said = strongest(audit(acquisition))
        try:
            write_json(path, {"strongest": said})
        except OSError as error:
            log.warning("%s can't be written (%s): k-space is audited again at the next sweep", path.parent, error.strerror)
    if not said:
        return acquisition
    caveat = f"counts as processed, whatever its source says: {said}"
    return replace(acquisition, provenance=Provenance.PROCESSED, caveat="; ".join(filter(None, (acquisition.caveat, caveat))))


def audits_folder() -> Path:
    """Where findings are remembered: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfscan" / "audits"
