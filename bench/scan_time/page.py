"""One HTML page that times a console's protocol offline, for those who have a browser and nothing else.

The page computes with the formula of `seconds` and `console`, written once more in its script; the constants are put into it
from here, and a test holds both to the same numbers in a browser.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from ... import __version__
from ..files import whole_file
from .fitted import SEPARATE_RANGE_S, SEPARATE_S, SHIPPED, SMS_RANGE_S, SMS_S
from .protocol import SHORTEST_ECHO_SPACING_S, Assumed, ClinicalProtocol

_CONSTANTS = "{/*constants*/}"


def constants() -> dict[str, object]:
    """What the page's script takes from the library: [value, low, high] in seconds, dummies in TRs."""
    assumed, clinical = Assumed(), ClinicalProtocol()
    ranges = {name: list(getattr(assumed, name) or ()) for name in assumed.__dataclass_fields__}
    return {
        "version": __version__,
        "dummies": [1, *ranges["dummies"]],
        "preparation": [SHIPPED.preparation_s, *ranges["preparation_s"]],
        "referenceLine": [SHIPPED.reference_line_s, *ranges["reference_line_s"]],
        "smsReference": [SHIPPED.sms_reference_s, *ranges["sms_reference_s"]],
        "separate": [SEPARATE_S, *SEPARATE_RANGE_S],
        "sms": [SMS_S, *SMS_RANGE_S],
        "shortestEchoSpacing": SHORTEST_ECHO_SPACING_S,
        "clinical": {"name": clinical.name, "acceleration": clinical.acceleration, "lines": clinical.acs_lines},
    }


def write_page(path: Path) -> None:
    """Writes the page; nothing in it is loaded from elsewhere."""
    template = (files(__package__) / "page.html").read_text("utf-8")
    with whole_file(path) as draft:
        draft.write_text(template.replace(_CONSTANTS, json.dumps(constants())), encoding="utf-8")
