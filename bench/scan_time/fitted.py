"""Times that no console prints, fitted on protocols whose acquisition time a console did print.

`halfscan time --check` fits them again on any file of protocols and prints what comes out, with the error on the body
regions that a fit has not seen. These were fitted on 55 2D turbo spin echo protocols of two Siemens scanners (MR protocol
library of the IPEM's MR AAT group, MIT licence): preparation is the median of what whole shots leave unexplained, the two
reference times are least squares. Another vendor's differ: state your own in the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The three fitted times."""

    preparation_s: float
    """Adjustments before the first TR [s]."""
    reference_line_s: float
    """One line of a separate reference scan, a slice (a pair of slices where two are excited together) [s]."""
    sms_reference_s: float
    """Single-band reference that slices excited together are told apart by [s]."""


SHIPPED = Fitted(preparation_s=1.5, reference_line_s=0.00475, sms_reference_s=4.2)
# What single protocols of the fit show, least to most.
PREPARATION_RANGE_S = (0.0, 5.6)
REFERENCE_LINE_RANGE_S = (0.0028, 0.0070)
SMS_REFERENCE_RANGE_S = (1.5, 6.1)

# A separate reference scan of unknown lines or slices: median and range over the same protocols.
SEPARATE_S, SEPARATE_RANGE_S = 6.0, (2.0, 10.0)
SMS_S, SMS_RANGE_S = 12.0, (6.0, 22.0)
