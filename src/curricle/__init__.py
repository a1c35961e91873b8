"""Curricle: small proxy models show which data recipe and curriculum a large model should get."""

__version__ = "0.1.0"
