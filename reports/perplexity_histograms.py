"""How likely the text of later generations is for the first model: histograms over documents.

The figure of I. Shumailov et al. 2023 (arXiv 2305.17493, fig. 1): mass moves to low perplexities, while a
tail of sequences appears that generation 0 would never write.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cl_bench import state
from cl_bench.evaluators.perplexity import DOCUMENTS
from cl_bench.finished_run import Run
from cl_bench.reports.cells import printable
from cl_bench.reports.figures import INCHES, styled
from cl_bench.reports.looks import GREY, PALETTE

GENERATIONS, BINS = 4, 40
PANEL_INCHES, AROUND_INCHES = 1.15, 0.85


def perplexity_histograms(rows: list[tuple[str, Run]]) -> Figure | None:
    """A panel for each (label, run) with perplexities of documents on disk; None without any."""
    panels = [(label, found) for label, run in rows if (found := _documents(run))]
    if not panels:
        return None
    everything = np.concatenate([values for _, found in panels for values in found.values()])
    low, high = np.quantile(everything, [0.001, 0.999])
    edges = np.geomspace(max(low, 1.0), max(high, 1.1 * max(low, 1.0)), BINS + 1)
    # As many numbers as have room.
    decades = np.log10(edges[-1] / edges[0])
    steps = (1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)
    with styled():
        figure = Figure(figsize=(INCHES, AROUND_INCHES + PANEL_INCHES * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (label, found) in zip(axes, panels, strict=True):
            for i, (name, values) in enumerate(found.items()):
                share = np.histogram(values, edges)[0] / len(values)
                colour, width = (GREY, 1.6) if i == 0 else (PALETTE[(i - 1) % len(PALETTE)], 1.1)
                ax.stairs(
                    share,
                    edges,
                    color=colour,
                    linewidth=width,
                    label=name,
                    fill=i == 0,
                    alpha=0.35 if i == 0 else 1,
                )
            ax.set_title(printable(label), loc="left")
            ax.set_xscale("log")
            ax.set_ylabel("share")
            ax.xaxis.set_major_locator(LogLocator(subs=steps))
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
        axes[-1].set_xlabel("perplexity under generation 1 (log scale)")
        handles, labels = axes[-1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _documents(run: Run) -> dict[str, np.ndarray]:
    """Finite perplexities by name: of real text, then of what some generations wrote."""
    done = run.done
    chosen = sorted({round(t) for t in np.linspace(0, done - 1, min(GENERATIONS, done))}) if done else []
    found = {}
    for task in chosen:
        path = run.directory.task(task) / DOCUMENTS
        if not path.exists():
            return {}
        content = {name: values.numpy() for name, values in state.load(path).items()}
        if task == 0:
            found["real text"] = content["real"]
        found[f"generation {task + 1}"] = content["samples"]
    return {name: values[np.isfinite(values)] for name, values in found.items()}
