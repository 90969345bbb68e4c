"""Was this k-space measured as it stands? Traces that processing leaves in the samples, found before a score rests on them."""

from .audit import audit
from .findings import CRIMES, Crime, Finding, State, strongest
from .picture import picture

__all__ = ["CRIMES", "Crime", "Finding", "State", "audit", "picture", "strongest"]
