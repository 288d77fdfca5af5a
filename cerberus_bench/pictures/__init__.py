"""Overlays, contact sheets and self-contained HTML reports."""

from cerberus_bench.pictures.draw import boxes, frame, outline
from cerberus_bench.pictures.examples import Example
from cerberus_bench.pictures.overlay import overlay
from cerberus_bench.pictures.report import evaluation_report
from cerberus_bench.pictures.sheet import contact_sheet
from cerberus_bench.pictures.shell import data_uri, render_page, write_page

__all__ = [
    "Example",
    "boxes",
    "contact_sheet",
    "data_uri",
    "evaluation_report",
    "frame",
    "outline",
    "overlay",
    "render_page",
    "write_page",
]
