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


def get_axes(
    ax,
    n_axes,
    *,
    n_columns=None,
    panel_size=(5.0, 3.8),
    extra_width=0.0,
    layout="constrained",
):
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
    layout : {"constrained", "compressed"}, default="constrained"
        Layout of a new figure. The compressed one has no room for wide titles. The
        constrained one cuts off labels of axes whose aspect is fixed.

    Returns
    -------
    ndarray of shape (n_axes,)

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the number of given axes is not `n_axes`.
    TypeError
        If `ax` holds something else than Axes.
    """
    try:
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError(
            "Displays are drawn by matplotlib: pip install sklearn-noisy[plot]."
        ) from error
    if ax is not None:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_axes:
            raise ValueError(f"ax must be {n_axes} matplotlib Axes; got {len(axes)}.")
        for axis in axes:
            if not isinstance(axis, Axes):
                raise TypeError(f"ax must be matplotlib Axes; got {axis!r}.")
        return axes
    n_columns = n_axes if n_columns is None else min(n_columns, n_axes)
    n_lines = -(-n_axes // n_columns)
    width, height = panel_size
    size = (n_columns * width + extra_width, n_lines * height)
    figure, axes = plt.subplots(
        n_lines, n_columns, figsize=size, layout=layout, squeeze=False
    )
    for unused in axes.flat[n_axes:]:
        figure.delaxes(unused)
    return axes.ravel()[:n_axes]


def make_room(axes, layout="constrained"):
    """Move the axes of a figure apart if texts do not fit.

    Axes that a user gave can be in a figure without a layout engine, whose margins are
    too small for long names. Such a figure is laid out once. A figure whose texts fit,
    and one that has a layout engine, stay as they are. If a figure is too small for its
    texts, matplotlib warns of it, and its axes stay where they are.

    Parameters
    ----------
    axes : iterable of matplotlib Axes
    layout : {"constrained", "compressed"}, default="constrained"
        See :func:`get_axes`.
    """
    for figure in dict.fromkeys(axis.figure.figure for axis in axes):
        if figure.get_layout_engine() is None and not _fits(axes, figure):
            figure.set_layout_engine(layout)
            figure.draw_without_rendering()
            figure.set_layout_engine(None)


def _fits(axes, figure):
    """Whether the texts around axes are inside the figure and outside other axes."""
    figure.draw_without_rendering()
    page = figure.bbox.padded(1)
    boxes = {
        axis: axis.get_tightbbox(for_layout_only=True)
        for axis in figure.axes
        if axis.get_visible()
    }
    for axis in axes:
        box = boxes.get(axis)
        if box is None:
            continue
        if not (page.contains(*box.min) and page.contains(*box.max)):
            return False
        for other, other_box in boxes.items():
            # Twins and insets are inside other axes on purpose.
            is_apart = other is not axis and not axis.bbox.overlaps(other.bbox)
            if is_apart and other_box is not None and box.overlaps(other_box):
                return False
    return True


def sizes_of(axes):
    """Width and height of each of the axes as they are drawn, in inches.

    Parameters
    ----------
    axes : iterable of matplotlib Axes

    Returns
    -------
    list of tuples of two floats
    """
    for figure in dict.fromkeys(axis.figure.figure for axis in axes):
        figure.draw_without_rendering()
    boxes = [(axis.get_window_extent(), axis.figure.dpi) for axis in axes]
    return [(box.width / dpi, box.height / dpi) for box, dpi in boxes]


def font_size(width, *, least=5.5):
    """Font size in points for axes of a width in inches, at most matplotlib's."""
    from matplotlib import rcParams

    return float(np.clip(2.8 * width, least, max(least, rcParams["font.size"])))
