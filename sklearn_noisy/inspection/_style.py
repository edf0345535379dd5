"""Line styles and axes that all plots share."""

import numpy as np

# Okabe and Ito's colours, which colour-blind people can distinguish, without the
# yellow, which is hardly visible on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# The number of dash patterns is coprime to that of colours, for 28 different lines.
DASHES = ("-", "--", "-.", (0, (1, 1.2)))
GREY = "#666666"

# A legend inside the axes covers the lines below it.
INSIDE = {"framealpha": 0.9, "edgecolor": "none"}


def line_styles(n_lines, widths=(1.8, 1.8)):
    """Colour, dashes and width of each line, as arguments of ``Axes.plot``.

    `widths` are those of the first and the last line. Where lines may coincide, the
    later ones must be thinner, so that both are visible.
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
    """The given axes, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of them, or None
    n_axes : int
    n_columns : int, default=None
        Columns of axes in a new figure; None puts all axes in one line.
    panel_size : tuple of two floats, default=(5.0, 3.8)
        Width and height of one of the new axes, in inches.
    extra_width : float, default=0.0
        Additional width of a new figure, in inches.

    Returns
    -------
    ndarray of shape (n_axes,)

    Raises
    ------
    ValueError
        If the number of given axes is not `n_axes`.
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
    size = (n_columns * width + extra_width, n_lines * height)
    figure, axes = plt.subplots(
        n_lines, n_columns, figsize=size, layout="constrained", squeeze=False
    )
    for unused in axes.flat[n_axes:]:
        figure.delaxes(unused)
    return axes.ravel()[:n_axes]
