"""A portfolio as one self-contained HTML page, made without numpy; it needs no network."""

from palmfolio.report.model import Answer, Report, User, summary
from palmfolio.report.page import render

__all__ = ["Answer", "Report", "User", "render", "summary"]
