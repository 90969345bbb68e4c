"""Pairs of series that were really scanned: a reference and a shorter protocol of one patient, compared without any truth."""
