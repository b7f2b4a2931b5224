"""Runs Posthouse beside its peers, a section for each, and writes Markdown tables of ratios.

A figure is the median over the repeats, with its smallest and largest; who goes first alternates.
"""

import argparse
import time
from datetime import date
from pathlib import Path

from . import fan_out, kafka, libzmq, redis, tls
from .page import publish
from .servers import machine

SECTIONS = [kafka, redis, fan_out, libzmq, tls]


def main():
    arguments = parse()
    chosen = [section for section in SECTIONS if arguments.section in ("", section.NAME)]
    sections = []
    for section in chosen:
        began = time.monotonic()
        about = {"date": date.today().isoformat(), "machine": machine(), "repeats": arguments.repeats}
        result = section.run(arguments, about, lambda: time.monotonic() - began)
        if result is None:
            continue  # no row of it is asked for
        print(result.text)
        sections.append(result)
    if arguments.out:
        publish(arguments.out, sections)


def parse():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every row, not the core ones")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each row on each side (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much work a run is (1.0)")
    parser.add_argument("--section", default="", choices=["", *(section.NAME for section in SECTIONS)],
                        help="one peer only")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--no-limits", dest="limits", action="store_false",
                        help="do not measure the clients' own limits")
    parser.add_argument("--out", type=Path,
                        help="put the tables on this page, and the raw figures beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
