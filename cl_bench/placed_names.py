"""Names written into a picture where they belong, none over another, none over the frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

PAD = 3  # pixels kept free around a name


def write_names(ax: Axes, names: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write each name centred on its place, (2,) in the data's units, or as near to it as there is room.

    Names go sideways only to stay within the frame, and up or down to leave those written before them free,
    topmost first. Limits and layout of the figure must be final; names that are too many overlap in the end.
    """
    taken: list[Bbox] = []
    for name, place in sorted(names, key=lambda item: -item[1][1]):
        text = ax.text(
            place[0],
            place[1],
            name,
            fontsize=8,
            weight="bold",
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=2.5, foreground="w")],
        )
        frame, box = ax.get_window_extent(), text.get_window_extent().padded(PAD)
        right = max(frame.x0 - box.x0, 0) or min(frame.x1 - box.x1, 0)
        up = _least_shift(box.translated(right, 0), taken, frame)
        taken.append(box.translated(right, up))
        x, y = ax.transData.transform(place)
        x, y = ax.transData.inverted().transform((x + right, y + up))
        text.set_position((x, y))


def _least_shift(box: Bbox, taken: list[Bbox], frame: Bbox) -> float:
    """Pixels up (or, negative, down) that bring `box` into the frame, clear of `taken`; those that only bring
    it into the frame where nothing is clear."""
    inside = max(frame.y0 - box.y0, 0) or min(frame.y1 - box.y1, 0)
    # One pixel more, for boxes that touch overlap.
    above = [other.y1 - box.y0 + 1 for other in taken]
    below = [other.y0 - box.y1 - 1 for other in taken]

    def clear(shift: float) -> bool:
        moved = box.translated(0, shift)
        return frame.y0 <= moved.y0 and moved.y1 <= frame.y1 and not any(map(moved.overlaps, taken))

    return min(filter(clear, [inside, *above, *below]), key=abs, default=inside)
