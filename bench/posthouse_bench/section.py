"""What each peer's measurements come to."""

import sys
from dataclasses import dataclass
from pathlib import Path

NOTES = Path(__file__).resolve().parent.parent  # What the figures do not say by themselves: bench/NAME.md


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    name: str
    text: str
    raw: dict


def heading(title, about, seconds, versions):
    return [
        f"## {title}", "",
        f"- {about['date']}, {about['repeats']} runs a row, median (smallest to largest), "
        f"order alternated, {seconds:.0f} s in all",
        f"- machine: `{about['machine']}`",
        f"- {versions}", "",
    ]


def notes(name):
    """The remarks that end a section."""
    return (NOTES / f"{name}.md").read_text()


def progress(seconds, what):
    print(f"[{seconds:5.0f} s] {what}", file=sys.stderr, flush=True)
