"""Exact transport between labelled sets, label by label where that is the optimum.

Where every label has the same share on both sides, each is solved by itself; label c's dual potentials may be
shifted by any k_c (f + k_c, g − k_c). If some shifts make all of them feasible, f_i + g_j ≤ C_ij, the plans
together are optimal by weak duality. Shifts exist where k_c − k_e ≤ S_ce, the least slack between rows of c
and columns of e, has a solution: shortest paths (Bellman-Ford). Otherwise the potentials are where the
network simplex starts: its optimum does not depend on them.

For k labels of n/k samples that is k problems of (n/k)², and one look at all n² costs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics.wasserstein import Plan, exact_plan, solved

# Of the largest cost: by how much potentials may miss feasibility, and so a plan the optimum.
TOLERANCE = 1e-10


def plan_by_label(cost: Tensor, rows: Tensor, columns: Tensor) -> Plan:
    """As `exact_plan` of cost (n, m), whose rows and columns have the labels (n,) and (m,), 0 … k − 1."""
    counts = [np.bincount(side.cpu().numpy()) for side in (rows, columns)]
    if len(counts[0]) != len(counts[1]) or (counts[0] * len(columns) != counts[1] * len(rows)).any():
        return exact_plan(cost)
    return _in_blocks(cost.cpu(), rows.cpu(), columns.cpu(), counts)


def _in_blocks(cost: Tensor, rows: Tensor, columns: Tensor, counts: list[np.ndarray]) -> Plan:
    order_i, order_j = rows.argsort(stable=True), columns.argsort(stable=True)
    slack = cost[order_i][:, order_j].numpy()
    f, g = np.zeros(len(rows)), np.zeros(len(columns))
    ends_i, ends_j = (np.cumsum(count) for count in counts)
    starts_i, starts_j = ends_i - counts[0], ends_j - counts[1]
    found = []
    for a, b, c, d in zip(starts_i, ends_i, starts_j, ends_j, strict=True):
        (i, j, mass), (f[a:b], g[c:d]) = solved(np.ascontiguousarray(slack[a:b, c:d]))
        found.append((order_i[i + a], order_j[j + c], mass * (b - a) / len(rows)))

    slack -= f[:, None]
    slack -= g
    least = np.minimum.reduceat(np.minimum.reduceat(slack, starts_i, axis=0), starts_j, axis=1)
    shift = np.zeros(len(least))
    for _ in range(len(least)):
        shift = np.minimum(shift, (least + shift).min(1))
    if (shift[:, None] - shift <= least + TOLERANCE * float(cost.max())).all():
        i, j, mass = (torch.cat(parts) for parts in zip(*found, strict=True))
        return i, j, mass
    f_all, g_all = np.empty_like(f), np.empty_like(g)
    f_all[order_i], g_all[order_j] = f, g
    return exact_plan(cost, (f_all, g_all))
