"""Pseudonyms for patients: nothing that identifies a person leaves the reader.

Published data sets get an unsalted hash of the published id, so that a vendor and a buyer can pair their patients.
Private data get an HMAC with the site's own key, so that nobody without the key can test a guessed name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from .errors import HalfscanError

KEY_VARIABLE = "HALFSCAN_SITE_KEY"
_LENGTH = 12


def public_id(dataset: str, published: str) -> str:
    """The pseudonym of a published id: the same for everyone who has the data set."""
    return hashlib.sha256(f"{dataset}\0{published}".encode()).hexdigest()[:_LENGTH]


def private_id(local: str, key: bytes | None = None) -> str:
    """The pseudonym of a site's own id under the site's key (default: `site_key()`)."""
    return hmac.new(key or site_key(), local.encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def is_contrast(text: str) -> bool:
    """Whether a text is one short word such as T2-FLAIR: whatever is longer might name a patient, and contrasts leave this
    machine."""
    return re.fullmatch(r"[\w*+-]{1,16}", text, re.ASCII) is not None


def site_key() -> bytes:
    """The site's secret: `HALFSCAN_SITE_KEY`, else a file in the user's configuration folder, made at the first use.

    Raises:
        HalfscanError: the key file can be neither read nor made.
    """
    if stated := os.environ.get(KEY_VARIABLE):
        return stated.encode()
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "halfscan" / "site.key"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32), encoding="ascii")
            try:
                # A link, unlike a rename, never replaces the key of a process that was quicker.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_bytes()
    except OSError as error:
        raise HalfscanError(f"no site key at {path}: {error.strerror}; set {KEY_VARIABLE} to a secret of the site") from error
