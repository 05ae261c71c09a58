"""Text: files of the real formats, encodings that lose nothing, and a fallback that says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import cl_bench
from cl_bench import tokenizer
from cl_bench.benchmark import Benchmark
from cl_bench.cli.stream_card import stream_card
from cl_bench.data_set import MissingFiles
from cl_bench.errors import UserError
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.tokenizer import Encoding, learned

# As WikiText's authors lay it out: a blank first line, headings, spaces around marks, <unk> for rare words.
ARTICLE = "\n".join(
    [
        " ",
        " = Homarus gammarus = ",
        " ",
        " Homarus gammarus , known as the European lobster , is a species of <unk> lobster from the Ocean . ",
        " It may grow to a length of 60 cm ( 24 in ) and a mass of 6 @.@ 5 kilograms – 14 lb . ",
        "",
    ]
)
SMALL = {"block": 8, "vocabulary": 300}


def benchmark(name: str, root: Path | None = None, **options: object) -> Benchmark:
    cls = benchmarks.get(name)
    return cls(build_options(cls.Options, SMALL | options, name), root)


def wikitext(root: Path, pattern: str, parts: dict[str, str]) -> Path:
    for part, text in parts.items():
        path = root / pattern.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


PARTS = {
    "train": ARTICLE * 20,
    "valid": ARTICLE.replace("lobster", "crab") * 5,
    "test": ARTICLE.replace("Ocean", "Sea") * 4,
}


@pytest.mark.parametrize(
    "pattern", ["wikitext-2/wiki.{}.tokens", "wikitext-2-raw/wiki.{}.raw", "wikitext-2/{}.txt"]
)
def test_wikitext_in_every_layout(tmp_path: Path, pattern: str) -> None:
    root = wikitext(tmp_path, pattern, PARTS)
    stream = benchmark("wikitext2", root, generations=3).build()
    assert (stream.spec.modality, stream.spec.shape, stream.spec.num_tasks) == ("text", (8,), 3)
    assert stream.spec.stationary
    assert stream.note == ""
    encoding = Encoding(stream.tokenizer)
    assert encoding.size == stream.spec.vocabulary <= 300
    for part, x in (("train", stream.train.x), ("test", stream.test[0].x)):
        assert 0 <= int(x.min()) <= int(x.max()) < stream.spec.vocabulary
        text = encoding.decode(x.flatten().unsqueeze(0))[0]
        # All but what is left of a block.
        assert PARTS[part].startswith(text)
        assert len(encoding.encode(PARTS[part])) - x.numel() in range(8)
    task = stream.tasks[0]
    assert len(task.train) + len(task.valid) == len(stream.train)
    assert len(task.valid) == round(0.1 * len(stream.train))


def test_without_its_training_part_the_validation_part_is_trained_on_and_named(
    tmp_path: Path, capsys
) -> None:
    root = wikitext(tmp_path / "data", "wikitext-2/{}.txt", {k: PARTS[k] for k in ("valid", "test")})
    stream = benchmark("wikitext2", root).build()
    assert "crab" in Encoding(stream.tokenizer).decode(stream.train.x[:4].flatten().unsqueeze(0))[0]
    assert "trained on the official validation part, because there is no training part" in stream.note
    # Again from the decoded copy.
    assert benchmark("wikitext2", root).build().note == stream.note
    with pytest.raises(MissingFiles, match=r"no wikitext-2/wiki\.train\.tokens with .*put wiki\.train"):
        benchmark("wikitext2", root, train_on="train").build()
    assert "because there is no training part" in " ".join(
        stream_card(benchmark("wikitext2", root), None).split()
    )
    # A run says it when it begins, and its manifest for ever.
    settings = {"output": tmp_path / "runs", "data_root": root, "evaluators": ("depth",)}
    run = cl_bench.run(
        "bootstrap", "wikitext2", "categorical", options=SMALL | {"generations": 1}, **settings
    )
    assert stream.note in capsys.readouterr().err
    assert run.manifest["data"]["note"] == stream.note


def test_trained_on_the_validation_part_as_asked_for(tmp_path: Path) -> None:
    root = wikitext(tmp_path, "wikitext-2/wiki.{}.tokens", PARTS)
    asked = benchmark("wikitext2", root, train_on="valid").build()
    assert "as asked for" in asked.note
    assert asked.fingerprint != benchmark("wikitext2", root).build().fingerprint


def test_no_wikitext_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MissingFiles, match=r"WikiText-2 is missing: no wikitext-2/wiki\.train\.tokens"):
        benchmark("wikitext2", tmp_path).build()


def test_a_file_is_cut_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    # A byte order mark and Windows' line ends, as other editors write them.
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(f"line {i} of 100" for i in range(100)).encode())
    stream = benchmark(f"text:{path}", test_fraction=0.25).build()
    encoding = Encoding(stream.tokenizer)
    assert encoding.decode(stream.train.x[:1])[0].startswith("line 0 of 100\nline 1")
    assert encoding.decode(stream.test[0].x[:1])[0].startswith("line 75 of")
    assert stream.spec.class_names == ("text",)
    assert stream.spec.shape == (8,)


def test_a_folder_has_its_own_parts(tmp_path: Path) -> None:
    wikitext(tmp_path, "{}.txt", {k: PARTS[k] for k in ("train", "test")})
    stream = benchmark(f"text:{tmp_path}").build()
    assert "Sea" in "".join(Encoding(stream.tokenizer).decode(stream.test[0].x))
    (tmp_path / "test.txt").unlink()
    with pytest.raises(UserError, match=r"test\.txt is missing; a folder of text holds train\.txt and test"):
        benchmark(f"text:{tmp_path}").build()


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        benchmark(f"text:{tmp_path / 'nowhere'}").build()
    (tmp_path / "latin.txt").write_bytes("Ångström ".encode("latin-1") * 90)
    with pytest.raises(UserError, match=r"latin\.txt is not UTF-8 text: byte 0 cannot be decoded"):
        benchmark(f"text:{tmp_path / 'latin.txt'}").build()
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(UserError, match="blocks of 8 tokens; expected at least 4"):
        benchmark(f"text:{tmp_path / 'short.txt'}").build()


def test_nothing_is_unknown_and_unk_is_one_token() -> None:
    encoding = learned(ARTICLE * 20, 400)
    for text in (ARTICLE, "日本語 und Ärger 🦞\ttabs  spaces\n\n\x00", "<unk> <unk>", ""):
        tokens = encoding.encode(text)
        assert encoding.decode(torch.tensor([tokens]))[0] == text
        assert tokens.count(0) == text.count("<unk>")
    # Learned from it, the encoding is shorter than the bytes.
    assert len(encoding.encode(ARTICLE)) < 0.6 * len(ARTICLE.encode())


def test_an_encoding_is_learned_once_for_a_text(monkeypatch) -> None:
    first = learned(ARTICLE + "once", 300)
    with monkeypatch.context() as patch:
        patch.setattr("tokenizers.Tokenizer.train_from_iterator", None, raising=False)
        assert learned(ARTICLE + "once", 300) == first
    assert learned(ARTICLE + "once", 301).size == 301
    shutil.rmtree(tokenizer.cache_folder() / "tokenizers")
    assert learned(ARTICLE + "once", 300) == first


def test_the_encoding_of_a_pretrained_model(tmp_path: Path) -> None:
    from transformers import OPTConfig, PreTrainedTokenizerFast

    encoding = learned(ARTICLE * 20, 290)
    saved = tmp_path / "model"
    PreTrainedTokenizerFast(tokenizer_object=encoding._tokenizer).save_pretrained(saved)
    with pytest.raises(UserError, match=r"model holds no model: it has no config\.json"):
        benchmark("wikitext2", wikitext(tmp_path, "wikitext-2/{}.txt", PARTS), tokenizer=str(saved)).build()
    OPTConfig(vocab_size=290).save_pretrained(saved)
    stream = benchmark("wikitext2", tmp_path, tokenizer=str(saved), vocabulary=999).build()
    assert stream.spec.vocabulary == 290
    assert Encoding(stream.tokenizer).encode(ARTICLE) == encoding.encode(ARTICLE)


def test_real_wikitext(build) -> None:
    stream = build("wikitext2", generations=2).build()
    encoding = Encoding(stream.tokenizer)
    assert (stream.spec.shape, stream.spec.vocabulary) == ((64,), 2000)
    # Merity et al. 2016, table 1: 245,569 words in the test part, of which 4,358 are ends of lines.
    text = encoding.decode(stream.test[0].x.flatten().unsqueeze(0))[0]
    assert text.startswith(" \n = Robert <unk> = \n")
    assert len(text.split()) == pytest.approx(245_569 - 4_358, abs=40)
    assert 3 < len(text) / stream.test[0].x.numel() < 4
