"""The stream as Avalanche sees it: the same tasks, trainable by Avalanche's own strategies."""

from __future__ import annotations

import pytest
import torch

from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.stream import TaskStream


def test_avalanche_has_the_same_tasks() -> None:
    stream = SplitDigits(ClassIncremental(tasks=[4, 3, 3])).build(order_seed=1, limit=30)
    before = torch.get_rng_state()
    benchmark = stream.avalanche()
    assert torch.equal(before, torch.get_rng_state())
    seen: set[int] = set()
    for task, train, test in zip(stream.tasks, benchmark.train_stream, benchmark.test_stream, strict=True):
        seen |= set(task.classes)
        assert set(train.classes_in_this_experience) == set(task.classes)
        assert set(train.classes_seen_so_far) == seen
        x, y = train.dataset[0][:2]
        assert torch.equal(x, task.train.x[0].float() / 255)
        assert int(y) == int(task.train.y[0])
        assert list(test.dataset.targets) == stream.test[task.index].y.tolist()


@pytest.mark.parametrize(
    ("name", "options", "remembers"),
    [("Naive", {}, False), ("EWC", {"ewc_lambda": 1}, False), ("Replay", {"mem_size": 200}, True)],
)
def test_avalanches_own_strategies_train_on_it_unchanged(
    digits: TaskStream, name: str, options: dict[str, float], remembers: bool
) -> None:
    from avalanche.training import supervised

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    strategy = getattr(supervised, name)(
        model=net,
        optimizer=torch.optim.Adam(net.parameters(), 1e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=10,
        evaluator=None,
        **options,
    )
    for experience in digits.avalanche().train_stream:
        strategy.train(experience, eval_streams=[])

    def accuracy(group: int) -> float:
        test = digits.test[group]
        return float((net(test.x.float() / 255).argmax(1) == test.y).float().mean())

    assert accuracy(4) > 0.9
    assert (accuracy(0) > 0.7) == remembers


@pytest.mark.parametrize(
    ("name", "options"), [("Naive", {}), ("EWC", {"ewc_lambda": 1}), ("Replay", {"mem_size": 60})]
)
def test_avalanches_own_strategies_train_on_flowers(build, name: str, options: dict[str, float]) -> None:
    """All 102 classes arrive, and the last task is learned far better than by chance, which is 1/34."""
    from avalanche.training import supervised

    stream = build("splitflowers102", tasks=3).build(limit=12)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.AvgPool2d(8),
        torch.nn.Flatten(),
        torch.nn.Linear(192, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 102),
    )
    strategy = getattr(supervised, name)(
        model=net,
        optimizer=torch.optim.Adam(net.parameters(), 3e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=40,
        evaluator=None,
        **options,
    )
    benchmark = stream.avalanche()
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[])
    assert set(benchmark.train_stream[-1].classes_seen_so_far) == set(range(102))
    test = stream.test[-1]
    right = (net(test.x.float() / 255).argmax(1) == test.y).float().mean()
    assert right > 3 / 34
