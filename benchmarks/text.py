"""Running text as a self-consuming loop: any UTF-8 file, and WikiText-2.

The text is cut into tokens by byte-pair encoding (R. Sennrich, B. Haddow, A. Birch, "Neural Machine
Translation of Rare Words with Subword Units", 2016), and these into blocks of `block`; what is left at a
part's end is dropped. A sample is a block, all are of one class, and neighbouring blocks follow each other in
the data set's own order. The encoding is learned from the training text, or is that of a pretrained model
(`tokenizer`). It works on bytes, so that no text is unknown to it; the word <unk> of WikiText, which its
authors put for rare words, is one token of what is learned. Blocks are cut from running text: no marks of
beginning or end are put in.

`wikitext2`: S. Merity, C. Xiong, J. Bradbury, R. Socher, "Pointer Sentinel Mixture Models", 2016 (arXiv
1609.07843): good and featured articles of Wikipedia, CC BY-SA 3.0; the text of I. Shumailov et al. 2023
(arXiv 2305.17493) in blocks of 64 tokens. Its official test part is the test set. Where the official training
part is not at hand, the official validation part, a tenth of its size, is trained on instead; the run says so
when it begins, and its manifest ever after.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt

from cl_bench import register_benchmark
from cl_bench.benchmark import StationaryBenchmark
from cl_bench.data_set import DataSet
from cl_bench.errors import UserError
from cl_bench.parametrised import Parametrised
from cl_bench.samples import Samples
from cl_bench.seeds import permutation
from cl_bench.stream import RealData
from cl_bench.tokenizer import learned, of_model

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class TextOptions:
    """Options of every benchmark of text."""

    generations: Annotated[int, Gt(0)] = 10
    """number of tasks"""
    block: Annotated[int, Gt(1)] = 64
    """tokens per sample"""
    vocabulary: Annotated[int, Ge(257)] = 2000
    """tokens of the byte-pair encoding that is learned from the training text; fewer where it is short"""
    tokenizer: str | None = None
    """a pretrained model, as a folder or as facebook/opt-125m, whose encoding is used instead"""
    fresh: bool = False
    """give each generation its own part of the real data, in place of the same data to all"""
    valid_fraction: Annotated[float, Ge(0), Lt(1)] = 0.1
    """share of the training data held out as task.valid"""


@dataclass(frozen=True)
class TextSet(DataSet):
    """Text in files. block, vocabulary, tokenizer: see `TextOptions`. Subclasses give `texts` and `parts`."""

    block: int
    vocabulary: int
    tokenizer: str | None

    transforms = "byte-pair encoding, cut into blocks"

    @abstractmethod
    def texts(self, root: Path) -> list[Path]:
        """The files of text. Raises UserError when they are missing."""

    @abstractmethod
    def parts(self, root: Path) -> tuple[str, str, str]:
        """Training text, test text, and what a reader of results must know about them, "" for nothing."""

    def files(self, root: Path) -> list[Path]:
        model = Path(self.tokenizer or "").expanduser()
        named = sorted(model.iterdir()) if self.tokenizer and model.is_dir() else []
        return [*self.texts(root), *(path for path in named if path.suffix in (".json", ".txt"))]

    def read(self, root: Path) -> RealData:
        train, test, note = self.parts(root)
        encoding = of_model(self.tokenizer) if self.tokenizer else learned(train, self.vocabulary)
        samples = {
            "training": self._blocks(encoding.encode(train)),
            "test": self._blocks(encoding.encode(test)),
        }
        for name, part in samples.items():
            if len(part) < 4:
                raise UserError(
                    f"{self.title}: the {name} text makes {len(part)} blocks of {self.block} tokens; "
                    "expected at least 4, so add text or choose a smaller -o block="
                )
        return RealData(
            "text",
            ("text",),
            samples["training"],
            samples["test"],
            vocabulary=encoding.size,
            tokenizer=encoding.content,
            note=note,
        )

    def _blocks(self, tokens: list[int]) -> Samples:
        n = len(tokens) // self.block
        x = torch.tensor(tokens[: n * self.block], dtype=torch.int64).view(n, self.block)
        return Samples.real(x, torch.zeros(n, dtype=torch.int64))


def read_text(path: Path) -> str:
    """A UTF-8 file. Raises UserError, naming it, when it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: byte {error.start} cannot be decoded") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


class TextBenchmark(StationaryBenchmark):
    """Subclasses give `data_set`."""

    Options = TextOptions
    generator = "causal-lm"
    needs = "pip install 'cl-bench[text]'"

    def chosen(self) -> RealData:
        return self.load()


@dataclass(frozen=True)
class TextFiles(TextSet):
    """A file, or a folder with train.txt, test.txt and, unless it is left out, valid.txt. test_fraction: the
    share of a single file, at its end, that is the test set."""

    path: Path
    test_fraction: float

    name = "text"
    title = "the text"

    def texts(self, root: Path) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            raise UserError(f"{self.path}: no such file or folder; expected UTF-8 text")
        found = [self.path / f"{part}.txt" for part in PARTS]
        for path in (found[0], found[2]):
            if not path.is_file():
                raise UserError(f"{path} is missing; a folder of text holds train.txt and test.txt")
        return [path for path in found if path.is_file()]

    def parts(self, root: Path) -> tuple[str, str, str]:
        paths = self.texts(root)
        if len(paths) > 1:
            return read_text(paths[0]), read_text(paths[-1]), ""
        text = read_text(paths[0])
        # Between lines, so that no word is cut; in the middle of one where there are none.
        cut = round((1 - self.test_fraction) * len(text))
        cut = text.rfind("\n", 0, cut) + 1 or cut
        return text[:cut], text[cut:], ""


@dataclass(frozen=True)
class TextFileOptions(TextOptions):
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.1
    """share of a single file, at its end, that is the test set"""


@register_benchmark("text")
class Text(Parametrised, TextBenchmark):
    """text:FILE, your own UTF-8 text, or a folder with train.txt and test.txt, as a self-consuming loop."""

    takes = "FILE"
    source = "a file of the user's"
    Options = TextFileOptions

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        return super().parametrised(str(Path(argument).expanduser().absolute()))

    def data_set(self) -> TextFiles:
        options = self.options
        path = Path(self.argument)
        return TextFiles(options.block, options.vocabulary, options.tokenizer, path, options.test_fraction)


@dataclass(frozen=True)
class WikiText2Files(TextSet):
    """WikiText-2 in the layout of its authors, wikitext-2/wiki.train.tokens and so on, or
    wikitext-2-raw/wiki.train.raw, or as plain wikitext-2/train.txt. train_on: see `WikiText2Options`."""

    train_on: Literal["auto", "train", "valid"] = "auto"

    name = "wikitext2"
    title = "WikiText-2"
    layouts = (
        "wikitext-2/wiki.{}.tokens",
        "wikitext-2-raw/wiki.{}.raw",
        "wikitext-2/{}.txt",
    )

    def how_to_get(self) -> str:
        return "put wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens into wikitext-2/"

    def _found(self, root: Path) -> dict[str, Path]:
        """The parts that are there, all of one layout: the first that has what is to be trained on."""
        for trained in ("train", "valid") if self.train_on == "auto" else (self.train_on,):
            for layout in self.layouts:
                paths = {part: root / layout.format(part) for part in PARTS}
                if paths[trained].is_file() and paths["test"].is_file():
                    return {trained: paths[trained], "test": paths["test"]}
        part = "train" if self.train_on == "auto" else self.train_on
        raise self.missing(f"{self.layouts[0].format(part)} with {self.layouts[0].format('test')}", root)

    def texts(self, root: Path) -> list[Path]:
        return list(self._found(root).values())

    def parts(self, root: Path) -> tuple[str, str, str]:
        (trained, path), (_, test) = self._found(root).items()
        note = ""
        if trained == "valid":
            why = "as asked for" if self.train_on == "valid" else "because there is no training part"
            note = (
                f"WikiText-2: trained on the official validation part, {why}; its test part is the test set"
            )
        return read_text(path), read_text(test), note


@dataclass(frozen=True)
class WikiText2Options(TextOptions):
    train_on: Literal["auto", "train", "valid"] = "auto"
    """official part to train on; auto: the training part or, where that is missing, the validation part,
    which the manifest then says"""


@register_benchmark("wikitext2")
class WikiText2(TextBenchmark):
    """WikiText-2 in blocks of 64 tokens as a self-consuming loop."""

    source = "Merity et al. 2016, arXiv 1609.07843; CC BY-SA 3.0"
    needs = "pip install 'cl-bench[text]', and the data in wikitext-2/ of the data root"
    Options = WikiText2Options

    def data_set(self) -> WikiText2Files:
        options = self.options
        return WikiText2Files(options.block, options.vocabulary, options.tokenizer, options.train_on)


@dataclass(frozen=True)
class PydocText(TextSet):
    """What Python's `help()` knows of its language, which every Python brings along. test_fraction: as in
    `TextFiles`."""

    test_fraction: float

    name = "pydoc"
    title = "Python's documentation"

    def texts(self, root: Path) -> list[Path]:
        from pydoc_data import topics

        return [Path(topics.__file__)]

    def parts(self, root: Path) -> tuple[str, str, str]:
        from pydoc_data.topics import topics

        # By a fixed draw, so that training and test text are of one kind.
        names = [name for name, _ in sorted(topics.items())]
        order = [names[i] for i in permutation(len(names), 0, "pydoc")]
        cut = round((1 - self.test_fraction) * len(order))
        train, test = ("\n".join(topics[name] for name in part) for part in (order[:cut], order[cut:]))
        return train, test, ""


@register_benchmark("pydoc")
class Pydoc(TextBenchmark):
    """Python's documentation of its language, part of Python itself, as a self-consuming loop of text."""

    source = "the pydoc topics of the Python that runs; PSF licence"
    Options = TextFileOptions

    def data_set(self) -> PydocText:
        options = self.options
        return PydocText(options.block, options.vocabulary, options.tokenizer, options.test_fraction)
