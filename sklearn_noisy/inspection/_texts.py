"""Values of a data set as texts that people read."""

import datetime
import math
import textwrap
from numbers import Real

import numpy as np

MISSING = "missing"

# Numbers outside these limits are written with an exponent.
SMALLEST, LARGEST = 1e-6, 1e15


def as_text(value):
    """A value in one line.

    Numbers have three significant digits or all digits before the decimal point; dates
    have a time of day only if it is not midnight; None, NaN, NA and NaT are "missing".
    """
    import pandas as pd  # slow to import, and only pictures need it here

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return MISSING
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, datetime.datetime | np.datetime64):
        return _date(pd.Timestamp(value))
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return str(pd.Timedelta(value)).removesuffix(" 00:00:00")
    return " ".join(str(value).split())


def is_number(value):
    """Whether a table aligns the value to the right."""
    return isinstance(value, Real | np.number) and not isinstance(value, bool)


def shorten(text, max_length):
    """The beginning of a long text, to the end of a word where one is near."""
    if len(text) <= max_length:
        return text
    start = text[: max_length - 1]
    words, _, _ = start.rpartition(" ")
    if text[max_length - 1] != " " and len(words) >= max_length / 2:
        start = words
    return start.rstrip(" ,;:.") + "…"


def wrap(text, width, max_lines):
    """A text in a limited number of lines that end with a word."""
    lines = textwrap.wrap(text, width) or [""]
    if len(lines) > max_lines:
        rest = " ".join(lines[max_lines - 1 :])
        lines = [*lines[: max_lines - 1], shorten(rest, width)]
    return "\n".join(lines)


def _number(value):
    size = abs(value)
    if size in (0, math.inf):
        return f"{value or 0:g}"  # without the sign of -0.0
    if not SMALLEST <= size < LARGEST:
        digits, _, exponent = f"{value:.2e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    n_decimals = 2 - math.floor(math.log10(size))
    if n_decimals <= 0:
        return f"{value:.0f}"
    text = f"{value:.{n_decimals}f}"
    return text.rstrip("0").rstrip(".")


def _date(value):
    date = value.date().isoformat()
    if value == value.normalize():
        return date
    time = value.time().replace(microsecond=0).isoformat()
    zone = "" if value.tzinfo is None else value.strftime("%z")
    return f"{date} {time.removesuffix(':00')}{zone}"
