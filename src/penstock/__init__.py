"""Penstock: a document dropped by HTTPS or into an S3 folder becomes findable in search, cited by page."""

__version__ = "0.1.0"
