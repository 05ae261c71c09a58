"""A colour for each class, the same in pictures and on the page, on white as on black.

Up to ten classes: M. A. Petroff, "Accessible Color Sequences for Data Visualization", 2021 (arXiv
2107.02270), whose ten colours stay apart for colour-blind readers. No hundred colours do: there hues follow
each other by the golden angle at three lightnesses, so that neighbouring classes differ; names tell the rest.
"""

from __future__ import annotations

import colorsys

PETROFF = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
GOLDEN = 0.381966  # of a turn
LIGHTNESS, SATURATION = (0.5, 0.65, 0.4), 0.62


def class_colours(number: int) -> tuple[str, ...]:
    """`number` colours as "#rrggbb", by class."""
    if number <= len(PETROFF):
        return PETROFF[:number]
    return tuple(_hue(c) for c in range(number))


def _hue(c: int) -> str:
    rgb = colorsys.hls_to_rgb(c * GOLDEN % 1, LIGHTNESS[c % len(LIGHTNESS)], SATURATION)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
