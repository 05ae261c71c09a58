"""Run a strategy over a stream: the one way through, for the command line and for Python.

    stream → for each task: observe → replay → evidence → evaluators → rows on disk → task finished

Every task draws its randomness from (seed, task), so a run that goes on after a kill repeats what an
uninterrupted one computes. A finished task is never recomputed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_bench import state
from cl_bench.checkpoint import kept_in
from cl_bench.config import Config, Request, Resolved, resolve
from cl_bench.costs import SamplingCosts, begin_memory, counted, peak_memory
from cl_bench.defaults import DEFAULT_BENCHMARK, DEFAULT_OUTPUT, DEFAULT_STRATEGY
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.extractor import Extractor
from cl_bench.finished_run import Run
from cl_bench.generator import Generator
from cl_bench.judging import Judging
from cl_bench.processes import Processes, first, join, together
from cl_bench.progress import Progress
from cl_bench.real_features import RealFeatures
from cl_bench.real_sets import RealSets
from cl_bench.replay_manifest import replay_manifest
from cl_bench.rows import Row
from cl_bench.run_directory import (
    CHECKPOINT,
    REPLAY,
    REPLAY_MANIFEST,
    SAMPLES,
    RunDirectory,
    locate,
    locked,
    write_json,
)
from cl_bench.run_manifest import check_data, run_manifest
from cl_bench.samples import Samples, concat, labels_for
from cl_bench.seeds import isolated
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import StreamSpec, Task, TaskStream, sealed_tests
from cl_bench.tracking import Tracking, chosen_trackers
from cl_bench.transfer import transfer


def run(
    strategy: str = DEFAULT_STRATEGY,
    benchmark: str = DEFAULT_BENCHMARK,
    generator: str | None = None,
    *,
    seed: int = 0,
    order_seed: int | None = None,
    device: str = "auto",
    output: str | Path = DEFAULT_OUTPUT,
    limit: int | None = None,
    evaluators: tuple[str, ...] | None = None,
    plugins: tuple[str, ...] = (),
    data_root: str | Path | None = None,
    quiet: bool = False,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    extractors: tuple[str, ...] | None = None,
    ci: bool = False,
    track: Sequence[str] = (),
    **more_options: Any,
) -> Run:
    """Run `strategy` on `benchmark`, or go on with it, or load it when it is finished already.

    strategy, benchmark, generator: registered names or "module:Class"; generator "none" for none, None for
    the benchmark's own. seed: of everything but the class order, which has `order_seed` (None: the data
    set's own order). limit: at most so many samples per class. evaluators: names, or "all"; None for the
    default ones. extractors: of the features that distances are taken in; None for the default. ci: with 95 %
    confidence intervals (see `intervals.py`; judging takes many times as long). track: names of trackers,
    which change nothing. data_root: folder of the data
    sets (None: see `data_root.py`). quiet: say nothing on the way; progress: say it there instead of on
    standard error. Options of strategy, benchmark and generator go by name, as keywords
    (`lambda_=0.5`) or in `options` (`{"generator.steps": 100}`).

    Returns the finished run. Raises UserError for a mistake and TrainingDiverged for a loss gone bad.
    """
    given = {**(options or {}), **more_options}
    root = None if data_root is None else str(data_root)
    request = Request(
        strategy,
        benchmark,
        generator,
        seed,
        order_seed,
        device,
        limit,
        evaluators,
        plugins,
        root,
        given,
        extractors,
        ci,
    )
    progress = progress or Progress(quiet or not first())
    resolved = resolve(request, progress)
    config = resolved.config
    path = Path(output) / _folder(config.benchmark) / _folder(config.strategy) / resolved.run_id()
    with Tracking(chosen_trackers(track), progress) as tracking:
        return _execute(resolved, path, progress, tracking)


def resume(
    run: str | Path,
    output: str | Path = DEFAULT_OUTPUT,
    *,
    data_root: str | Path | None = None,
    quiet: bool = False,
    progress: Progress | None = None,
    track: Sequence[str] = (),
) -> Run:
    """Go on with an interrupted run (a path or a run id below `output`) after its last finished task.

    data_root: where its data lie now; None for where they lay. track: names of trackers. Raises UserError
    when the run cannot be found, is damaged, or was begun by code that has changed since.
    """
    directory = locate(str(run), Path(output))
    manifest = directory.manifest()
    request = Config.from_dict(manifest["config"]).request()
    if data_root is not None:
        request = replace(request, data_root=str(data_root))
    progress = progress or Progress(quiet or not first())
    resolved = resolve(request, progress)
    if resolved.run_id() != directory.id:
        now, then = resolved.versions(), manifest["versions"]
        changed = [name for name in sorted({*now, *then}) if now.get(name) != then.get(name)]
        raise UserError(
            f"{directory.path} was begun by other code ({', '.join(changed) or 'its folder was renamed'}); "
            "start it again with `cl-bench run`"
        )
    with Tracking(chosen_trackers(track), progress) as tracking:
        return _execute(resolved, directory.path, progress, tracking)


def _execute(resolved: Resolved, path: Path, progress: Progress, tracking: Tracking) -> Run:
    """Run what is resolved in the folder `path`; see `run`."""
    config = resolved.config
    with progress.phase(f"loading benchmark {config.benchmark}"):
        stream = resolved.new_benchmark().build(config.order_seed, config.limit)
    if stream.note:
        progress.say(stream.note)
    device = torch.device(config.device)
    with isolated(config.seed, "strategy"), sealed_tests():
        strategy = new_strategy(resolved, stream.spec, device, progress)
    processes = join(config.device)
    if processes.index > 0:
        return _assist(config, stream, strategy, RunDirectory(path), processes, progress)
    with locked(path) as directory:
        directory.create(run_manifest(resolved, directory.id, stream))
        check_data(directory, stream)
        history = directory.drop_unfinished()
        done = directory.finished_tasks()
        if done:
            progress.say(f"{done} of {len(stream.tasks)} tasks are finished in {path}")
        processes.agree(done)
        tracking.begin(directory, history)
        if done == len(stream.tasks):
            return Run(directory)
        if done:
            _restore(strategy, directory, stream.tasks[:done], config.seed, progress)
        judges = [cls() for cls in resolved.evaluators if cls.fits(stream, strategy.generative)]
        real = RealSets(stream)
        wanted = resolved.extractors if any("features" in judge.needs for judge in judges) else ()
        extractors = tuple(fitted(cls(stream.spec, device), real, directory, progress) for cls in wanted)
        once = RealFeatures(stream, real, progress)
        judging = Judging(directory.id, config, stream, judges, once, extractors, device, progress)
        earlier = cache(partial(_as_it_was, resolved, stream, directory, device, progress))
        session = _Session(
            config, stream, strategy, judging, directory, device, processes, progress, tracking, earlier
        )
        if not done and any(judge.before_first for judge in judges):
            history += session.judge(-1, history)
            tracking.task(-1, history)
        for task in stream.tasks[done:]:
            classes = ", ".join(stream.spec.class_names[c] for c in task.classes)
            progress.task(task.index, len(stream.tasks), f"classes {classes}")
            history += session.learn_and_judge(task.index, history)
        processes.agree(len(stream.tasks))
        return Run(directory)


def _assist(
    config: Config,
    stream: TaskStream,
    strategy: Strategy,
    directory: RunDirectory,
    processes: Processes,
    progress: Progress,
) -> Run:
    """What the processes other than the first do: learn with it. It alone judges and writes."""
    done = processes.agree(0)
    if 0 < done < len(stream.tasks):
        _restore(strategy, directory, stream.tasks[:done], config.seed, progress)
    for task in stream.tasks[done:]:
        _learn(strategy, task, config.seed, directory, processes)
    if done < len(stream.tasks):
        processes.agree(0)
    return Run(directory)


def _learn(
    strategy: Strategy, task: Task, seed: int, directory: RunDirectory, processes: Processes
) -> SamplingCosts:
    """Task `task` from beginning to end, the same in every process; what its sampling cost."""
    kept = kept_in(directory.training(task.index), directory.task(task.index))
    with isolated(seed, "observe", task.index), sealed_tests(), kept, together(processes), counted() as costs:
        strategy.observe(task)
    return costs.over(processes)


@dataclass
class _Session:
    """One process's work on one run."""

    config: Config
    stream: TaskStream
    strategy: Strategy
    judging: Judging
    directory: RunDirectory
    device: torch.device
    processes: Processes
    progress: Progress
    tracking: Tracking
    # A strategy of its own as this one was after a task.
    earlier: Callable[[int], Strategy]

    def learn_and_judge(self, index: int, history: list[Row]) -> list[Row]:
        """Task `index` from training to finished; its rows. A loss gone bad leaves no trace of the task."""
        folder = self.directory.task(index)
        folder.mkdir()
        try:
            return self._learn_and_judge(index, folder, history)
        except TrainingDiverged as error:
            self.directory.drop_unfinished()
            self.directory.drop_training(index)
            saved = self.directory.task(index - 1) / CHECKPOINT if index else "none yet"
            what = f"task {index + 1}, {error.what}"
            raise TrainingDiverged(what, error.step, error.loss, str(saved)) from None

    def _learn_and_judge(self, index: int, folder: Path, history: list[Row]) -> list[Row]:
        task, config = self.stream.tasks[index], self.config
        begin_memory(self.device)
        start = time.perf_counter()
        sampled = _learn(self.strategy, task, config.seed, self.directory, self.processes)
        trained, memory = time.perf_counter(), peak_memory(self.device)
        checkpoint, replay = self.strategy.state_dict(), self.strategy.replay
        state.save(folder / CHECKPOINT, checkpoint)
        if replay is not None:
            state.save(folder / REPLAY, replay.state_dict())
            about = replay_manifest(self.directory.id, config, index, replay, checkpoint)
            write_json(folder / REPLAY_MANIFEST, about)
        # What the strategy needs; what evaluators leave there is not its cost.
        stored = sum(file.stat().st_size for file in folder.iterdir())
        rows = self.judge(index, history)
        costs = {
            "task": index,
            "seconds_training": round(trained - start, 3),
            **sampled.as_dict(),
            **memory,
            "seconds_evaluation": round(time.perf_counter() - trained, 3),
            "seconds_by_evaluator": dict(self.judging.seconds),
            "replay_samples": 0 if replay is None else len(replay),
            "stored_bytes": stored,
        }
        self.directory.finish(index, costs, len(history) + len(rows))
        if self.stream.spec.replicas > 1:
            # Thousands of replicas over thousands of generations would fill the disk.
            self.directory.drop_data(index - 1)
        self.tracking.task(index, rows)
        return rows

    def judge(self, after_task: int, history: list[Row]) -> list[Row]:
        """Let the judges look; every number is on disk before the next is asked for."""
        if not self.judging.judges:
            return []
        seed = self.config.seed
        with isolated(seed, "predict", after_task), sealed_tests():
            wanted = after_task >= 0 and self.judging.needs_samples
            samples = self._samples(after_task) if wanted else None
        tests = self.stream.test if self.judging.needs_predictions else ()
        with isolated(seed, "predict", after_task), sealed_tests():
            logits = [self.strategy.predict(test.x) for test in tests]
        rows = []
        folder = self.directory.task(after_task)
        learner = logits.__getitem__, self.strategy.latent, self.strategy.law, partial(self._nats, after_task)
        for row in self.judging.rows(after_task, *learner, samples, history, folder):
            self.directory.append(row)
            rows.append(row)
        return rows

    def _nats(self, now: int, after_task: int, x: Tensor) -> Tensor | None:
        """Under the strategy as it is `now`, after that task, or was after an earlier one."""
        return (self.strategy if after_task == now else self.earlier(after_task)).nats(x)

    def _samples(self, after_task: int) -> Samples:
        samples = judged_samples(self.strategy, self.stream, after_task, self.progress)
        state.save(self.directory.task(after_task) / SAMPLES, samples.state_dict())
        return samples


def judged_samples(strategy: Strategy, stream: TaskStream, after_task: int, progress: Progress) -> Samples:
    """As many synthetic samples of each seen class as it has training samples: the newest of the replay set,
    and where there are too few, more from the generator."""
    wanted: dict[int, int] = {}
    for group in stream.groups_seen(after_task):
        wanted |= stream.tasks[group].train.counts()
    replay = strategy.replay
    parts = []
    missing = wanted
    if replay is not None and len(replay):
        newest = replay[torch.arange(len(replay) - 1, -1, -1)].first_per_class(wanted)
        parts.append(newest)
        have = newest.counts()
        missing = {c: n - have.get(c, 0) for c, n in wanted.items()}
    y = labels_for(missing)
    if len(y):
        with progress.phase(f"samples to judge: {len(y)}"):
            depth = torch.tensor([strategy.depth(c) for c in y.tolist()])
            parts.append(Samples(strategy.sample(y), y, depth))
    return concat(parts)


def new_strategy(resolved: Resolved, spec: StreamSpec, device: torch.device, progress: Progress) -> Strategy:
    """The strategy before its first task, with the generator it was asked to use."""
    make, options = resolved.generator, resolved.generator_options
    if make is not None and spec.replicas > 1 and not make.replicated:
        raise UserError(
            f"generator {resolved.config.generator!r} does not keep {spec.replicas} replicas apart; "
            "say replicas=1, and use seeds"
        )

    def new_generator() -> Generator:
        assert make is not None
        generator: Generator = make(spec, options, device, progress)
        weights = getattr(options, "weights", None)
        if weights is not None:
            transfer(generator, weights, progress)
        return generator

    setting = Setting(spec, device, progress, None if make is None else new_generator)
    strategy: Strategy = resolved.strategy(setting, resolved.strategy_options)
    return strategy


def _restore(
    strategy: Strategy, directory: RunDirectory, finished: tuple[Task, ...], seed: int, progress: Progress
) -> None:
    """Bring the strategy to where it was after the `finished` tasks."""
    folder = directory.task(finished[-1].index)
    checkpoint = state.load(folder / CHECKPOINT)
    if strategy.resumes_by_repeating:
        _repeat(strategy, finished, seed, progress)
        if not state.equal(strategy.state_dict(), checkpoint):
            progress.say("the repeated tasks differ in rounding: another machine, or number of threads")
        return
    try:
        strategy.load_state_dict(checkpoint)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{folder / CHECKPOINT} does not fit this strategy: {error}") from None
    if (folder / REPLAY).exists():
        strategy.replay = Samples.from_state_dict(state.load(folder / REPLAY))


def _as_it_was(
    resolved: Resolved,
    stream: TaskStream,
    directory: RunDirectory,
    device: torch.device,
    progress: Progress,
    after_task: int,
) -> Strategy:
    """Another strategy, with what the run's own had learned after the finished task `after_task`."""
    seed = resolved.config.seed
    with isolated(seed, "strategy"), sealed_tests():
        strategy = new_strategy(resolved, stream.spec, device, progress)
    _restore(strategy, directory, stream.tasks[: after_task + 1], seed, progress)
    return strategy


def _repeat(strategy: Strategy, finished: tuple[Task, ...], seed: int, progress: Progress) -> None:
    """Learn the `finished` tasks once more, each with its own seed; nothing is judged or written."""
    for task in finished:
        repeating = progress.phase(f"repeating task {task.index + 1}")
        with repeating, isolated(seed, "observe", task.index), sealed_tests():
            strategy.observe(task)


def fitted(extractor: Extractor, real: RealSets, directory: RunDirectory, progress: Progress) -> Extractor:
    """`extractor` as the run began with it, from disk, or fitted now and recorded."""
    path = directory.extractor(_folder(extractor.name))
    recorded = directory.manifest().get("extractors", {}).get(extractor.name)
    if path.exists() and recorded:
        extractor.load_state_dict(state.load(path))
        if extractor.hash() != recorded["hash"]:
            raise UserError(
                f"{path} is not the extractor this run began with; move the run away and run again"
            )
        return extractor
    extractor.fit_once(real, progress)
    path.parent.mkdir(exist_ok=True)
    state.save(path, extractor.state_dict())
    directory.record_extractor(extractor.name, {"hash": extractor.hash()} | extractor.about(real))
    return extractor


def _folder(name: str) -> str:
    """A name as a folder: "module:Class" and paths lose what a file system minds."""
    return "".join(ch if ch.isalnum() or ch in "-_.+" else "_" for ch in name)
