"""Halfscan: half the scan, the same image? Prove it."""

__version__ = "0.1.0"
