"""Text to tokens and back: byte-pair encodings, learned from a text or those of pretrained models.

By Hugging Face's `tokenizers` (the extra cl-bench[text]), of whose JSON a whole encoding consists.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from cl_bench.data_root import cache_folder
from cl_bench.errors import UserError
from cl_bench.hub import INSTALL, from_hub, transformers

UNKNOWN = "<unk>"  # what WikiText has in place of rare words; one token
VERSION = 1  # raise it when `learned` learns otherwise


@dataclass(frozen=True)
class Encoding:
    """content: the JSON of `tokenizers`."""

    content: str

    @cached_property
    def _tokenizer(self) -> Any:
        return _library().Tokenizer.from_str(self.content)

    @property
    def size(self) -> int:
        """Tokens are 0 … size − 1."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Tokens of `text`, line by line, without marks of beginning or end."""
        lines = self._tokenizer.encode_batch(text.splitlines(keepends=True), add_special_tokens=False)
        return [token for line in lines for token in line.ids]

    def decode(self, tokens: Tensor) -> list[str]:
        """The text of each row of (n, L) tokens; a character cut by a row's end is shown as �."""
        decoded: list[str] = self._tokenizer.decode_batch(tokens.tolist(), skip_special_tokens=False)
        return decoded


def learned(text: str, size: int) -> Encoding:
    """The byte-level encoding of at most `size` tokens, 257 or more, that is learned from `text`; kept in the
    cache by the text's hash. Raises UserError."""
    library = _library()
    digest = hashlib.sha256(f"{VERSION} {library.__version__} {size} ".encode())
    digest.update(text.encode())
    path = cache_folder() / "tokenizers" / f"{digest.hexdigest()[:32]}.json"
    if path.is_file():
        return Encoding(path.read_text(encoding="utf-8"))
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = library.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[UNKNOWN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    encoding = Encoding(tokenizer.to_str())
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(encoding.content, encoding="utf-8")
    os.replace(part, path)
    return encoding


def of_model(model: str) -> Encoding:
    """The encoding of a pretrained model: a folder in Hugging Face's format, or a name on its hub. Raises
    UserError, with what to do, when it cannot be had."""
    return Encoding(from_hub(transformers().AutoTokenizer, model).backend_tokenizer.to_str())


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UserError(f"text needs tokenizers; {INSTALL}") from None
    return tokenizers
