"""What the lines of all pictures look like, and the axes that they are drawn in."""

import numpy as np

__all__ = ["GREY", "INSIDE", "get_axes", "line_styles"]

# Okabe and Ito's colours, which colour-blind people can tell apart, without the yellow,
# which nobody sees on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# As many as have no divisor in common with the colours: 28 different lines.
DASHES = ("-", "--", "-.", (0, (1, 1.2)))
GREY = "#666666"

# Of a legend inside the axes: lines may run below it, not through it.
INSIDE = {"framealpha": 0.9, "edgecolor": "none"}


def line_styles(n_lines, widths=(1.8, 1.8)):
    """Colour, dashes and width of so many lines, as arguments of ``Axes.plot``.

    `widths` are those of the first and the last line: where lines may coincide, the
    later ones must be thinner for both to be seen.
    """
    return [
        {
            "color": COLORS[k % len(COLORS)],
            "linestyle": DASHES[k % len(DASHES)],
            "linewidth": width,
        }
        for k, width in enumerate(np.linspace(*widths, n_lines))
    ]


def get_axes(ax, n_axes, *, n_columns=None, panel_size=(5.0, 3.8), extra_width=0.0):
    """The axes that were given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of them, or None
    n_axes : int
    n_columns : int, default=None
        Of a new figure; None puts all beside each other.
    panel_size : tuple of two floats, default=(5.0, 3.8)
        Width and height of one of the new axes, in inches.
    extra_width : float, default=0.0
        Inches beside the axes of a new figure.

    Returns
    -------
    ndarray of shape (n_axes,)

    Raises
    ------
    ValueError
        If other than `n_axes` axes were given.
    """
    import matplotlib.pyplot as plt

    if ax is not None:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_axes:
            raise ValueError(f"ax must be {n_axes} matplotlib Axes; got {len(axes)}.")
        return axes
    n_columns = n_axes if n_columns is None else min(n_columns, n_axes)
    n_lines = -(-n_axes // n_columns)
    width, height = panel_size
    figure, axes = plt.subplots(
        n_lines,
        n_columns,
        figsize=(n_columns * width + extra_width, n_lines * height),
        layout="constrained",
        squeeze=False,
    )
    for unused in axes.flat[n_axes:]:
        figure.delaxes(unused)
    return axes.ravel()[:n_axes]
