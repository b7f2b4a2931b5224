"""How a measured quantity is written: the median of its runs, with the smallest and the largest."""

import statistics


def median(values):
    return statistics.median(values)


def spread(values, unit=1, digits=0):
    low, middle, high = min(values) / unit, median(values) / unit, max(values) / unit
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def ratio(ours, theirs):
    """Ours over theirs, of the medians."""
    below = median(theirs)
    return f"{median(ours) / below:.2f}" if below else "–"


def alternated(names, repeat):
    """The order of one repeat: each name begins in its turn, so that none always runs on a warm machine."""
    turn = repeat % len(names)
    return names[turn:] + names[:turn]
