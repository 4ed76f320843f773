"""Paths in the checkout that the tests belong to."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
TEMPLATE = ROOT / "template.yaml"
