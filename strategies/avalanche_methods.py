"""The Avalanche strategies that run here: their papers, and options made from their constructors.

An option has Avalanche's name, default and help; where Avalanche has none, or one that does nothing at
these batch sizes, the table gives it with its source. Left out are parameters that change no number
(`verbose`, `keep_importance_data`) and what the strategy injects (model, optimiser, devices, …).
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge

from cl_bench.avalanche_bridge import documented_parameters

INJECTED = {
    "model", "feature_extractor", "classifier", "buffer_transform", "optimizer", "criterion", "device",
    "plugins", "evaluator", "eval_every", "peval_mode", "train_mb_size", "train_epochs", "eval_mb_size",
    "kwargs", "base_kwargs", "verbose", "keep_importance_data",
}  # fmt: skip


@dataclass(frozen=True)
class Knob:
    """One option that the table says more about than Avalanche. type: None for Avalanche's."""

    default: Any
    help: str
    type: Any = None


@dataclass(frozen=True)
class Method:
    """An Avalanche strategy. cls: its class's name where that is not how papers spell it."""

    paper: str
    cls: str = ""
    knobs: dict[str, Knob] = field(default_factory=dict)


# Exemplars kept in all: what Avalanche's Replay, DER, GDumb and ER_ACE keep unless told otherwise.
MEMORY = 200

METHODS = {
    "Naive": Method("fine-tuning, the lower bound"),
    "Cumulative": Method("training on all data so far, the upper bound"),
    "EWC": Method(
        "Kirkpatrick et al. 2017, PNAS 114(13), arXiv 1612.00796",
        knobs={
            "ewc_lambda": Knob(
                1.0, "weight of the penalty on moving important weights (ContinualAI's baselines: 1)"
            ),
            "mode": Knob(
                "separate",
                "a penalty for each earlier task, or one whose importances decay (online)",
                Literal["separate", "online"],
            ),
            "decay_factor": Knob(None, "decay of the importances; required by mode=online, and only there"),
        },
    ),
    "SI": Method(
        "Zenke, Poole, Ganguli 2017, ICML, arXiv 1703.04200",
        "SynapticIntelligence",
        {
            "si_lambda": Knob(
                1.0, "weight of the penalty on moving important weights (paper: c=1 on split MNIST)"
            ),
        },
    ),
    "MAS": Method("Aljundi et al. 2018, ECCV, arXiv 1711.09601"),
    "LwF": Method(
        "Li and Hoiem 2016, ECCV, arXiv 1606.09282",
        knobs={
            "alpha": Knob(1.0, "weight of distillation from the previous network (paper: 1)"),
            "temperature": Knob(2.0, "softmax temperature of distillation (paper: 2)"),
        },
    ),
    "Replay": Method("Chaudhry et al. 2019, arXiv 1902.10486"),
    "ER_ACE": Method("Caccia et al. 2022, ICLR, arXiv 2104.05025"),
    "DER": Method(
        "Buzzega et al. 2020, NeurIPS, arXiv 2004.07211",
        knobs={
            "batch_size_mem": Knob(
                None, "samples replayed per step, none for as many as batch; nothing is replayed before the "
                "memory holds so many"
            ),
        },
    ),
    "MIR": Method(
        "Aljundi et al. 2019, NeurIPS, arXiv 1908.04742",
        knobs={
            "mem_size": Knob(MEMORY, "samples kept in all (as Replay keeps)"),
            "subsample": Knob(50, "samples among which the most interfered are sought (paper: 50)"),
            "batch_size_mem": Knob(10, "samples replayed per step (paper: 10; Avalanche's default is 1)"),
        },
    ),
    "GDumb": Method("Prabhu, Torr, Dokania 2020, ECCV"),
    "iCaRL": Method(
        "Rebuffi et al. 2017, CVPR, arXiv 1611.07725",
        "ICaRL",
        {
            "memory_size": Knob(
                MEMORY, "exemplars kept (as many as Replay keeps, so that tables compare; paper: 2000)"
            ),
            "fixed_memory": Knob(
                True, "whether memory_size is shared by all classes, as in the paper, or that of each class"
            ),
        },
    ),
    "GEM": Method(
        "Lopez-Paz and Ranzato 2017, NeurIPS, arXiv 1706.08840",
        knobs={"patterns_per_exp": Knob(256, "samples kept of each task (the authors' code: 256 on MNIST)")},
    ),
    "AGEM": Method(
        "Chaudhry et al. 2019, ICLR, arXiv 1812.00420",
        knobs={
            "patterns_per_exp": Knob(256, "samples kept of each task (as GEM, its predecessor)"),
            "sample_size": Knob(
                256, "samples of the reference gradient (paper: 256); Avalanche divides them by the tasks so "
                "far, and needs at least the square of the number of tasks"
            ),
        },
    ),
}  # fmt: skip


def options_of(avalanche_class: type, method: Method, base: type, name: str) -> type:
    """A dataclass that extends `base` by the plain parameters of an Avalanche strategy's constructor."""
    documented = documented_parameters(avalanche_class)
    fields: list[tuple[str, Any, Any]] = []
    for parameter in inspect.signature(avalanche_class).parameters.values():
        if parameter.name in INJECTED:
            continue
        knob = method.knobs.get(parameter.name)
        default = knob.default if knob else parameter.default
        kind = (knob and knob.type) or _bounded(parameter.annotation, default)
        text = knob.help if knob else documented.get(parameter.name, "")
        fields.append((parameter.name, kind, field(default=default, metadata={"help": text})))
    return dataclasses.make_dataclass(
        f"{name}Options", fields, bases=(base,), frozen=True, namespace={"__module__": __name__}
    )


def _bounded(annotation: Any, default: Any) -> Any:
    """A parameter's type, or its default's: numbers are never negative, and what is counted is at least 1.

    Of "a number, or a list of one per task" the number.
    """
    choices = set(get_args(annotation) if _is_union(annotation) else (annotation,))
    kinds = [kind for kind in (bool, int, float, str) if kind in choices] or [type(default)]
    bounds = {int: Annotated[int, Ge(1)], float: Annotated[float, Ge(0)]}
    kind = bounds.get(kinds[0], kinds[0])
    return kind | None if type(None) in choices else kind


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)
