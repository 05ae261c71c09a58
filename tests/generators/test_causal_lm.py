"""The language model: its likelihood, what it decodes, what it continues, and where it begins."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl_bench import state
from cl_bench.costs import counted
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.generators.causal_lm import BEAMS, CausalLM, CausalLMOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec

K, L = 4, 6
TINY = {"layers": 1, "width": 16, "heads": 2}


def make(vocabulary: int = K, block: int = L, seed: int = 0, **options: object) -> CausalLM:
    spec = StreamSpec("text", (block,), ("text",), 1, vocabulary=vocabulary)
    with isolated(seed):
        return CausalLM(spec, CausalLMOptions(**(TINY | options)), torch.device("cpu"), Progress(quiet=True))


def text(x: Tensor) -> Samples:
    return Samples.real(x, torch.zeros(len(x), dtype=torch.int64))


def uneven(**options: object) -> CausalLM:
    """A model with strong opinions of its own: random weights, enlarged."""
    generator = make(**options)
    with torch.no_grad(), isolated(5):
        for parameter in generator.net.parameters():
            parameter += torch.randn_like(parameter) * 0.35
    with isolated(6):
        generator.prompts = text(torch.randint(K, (5, L)))
    return generator


def likelihoods(generator: CausalLM, context: Tensor, new: int) -> tuple[Tensor, Tensor]:
    """All K^new continuations of `context` (k,), (K^new, new), and log p of each, by the model's own forward
    pass over whole sequences."""
    ends = torch.tensor(list(itertools.product(range(K), repeat=new)))
    whole = torch.cat([torch.tensor([generator.begin]), context]).expand(len(ends), -1)
    with torch.no_grad():
        logits = generator.net(torch.cat([whole, ends], 1)).logits[:, -new - 1 : -1].double()
    # The begin token is never drawn.
    logits[..., generator.begin] = -math.inf
    return ends, logits.log_softmax(-1).gather(2, ends.unsqueeze(2)).sum((1, 2))


def test_nats_are_those_of_the_librarys_own_loss() -> None:
    generator = uneven(sampling_batch=3)
    x = torch.randint(K, (7, L), generator=torch.Generator().manual_seed(0))
    for row, nats in zip(x, generator.nats(x), strict=True):
        begun = torch.cat([torch.tensor([generator.begin]), row]).unsqueeze(0)
        with torch.no_grad():
            loss = generator.net(begun, labels=begun).loss
        assert nats.item() == pytest.approx(loss.item() * L, rel=1e-5)


def test_a_fresh_model_knows_nothing() -> None:
    generator = make(vocabulary=50, block=10)
    with isolated(1):
        nats = generator.nats(torch.randint(50, (200, 10)))
    assert nats.dtype == torch.float64
    assert (nats / 10).mean().item() == pytest.approx(math.log(51), abs=0.05)


@pytest.mark.parametrize("decoding", ["ancestral", "beam"])
def test_a_rule_is_learned_and_samples_continue_the_training_blocks(decoding: str) -> None:
    """Tokens count upwards: what follows a block is certain, so that continuations can be foretold."""
    generator = make(vocabulary=5, width=32, steps=80, learning_rate=1e-2, decoding=decoding)
    starts = torch.arange(5).repeat(8)
    x = (starts.unsqueeze(1) + torch.arange(L)) % 5
    with isolated(0):
        generator.fit(text(x))
        drawn = generator.sample(torch.zeros(60).long())
    # All is certain but the first token of a block, which is one of five.
    assert generator.nats(x).mean().item() == pytest.approx(math.log(5), abs=0.1)
    wrong = (drawn != (drawn[:, :1] + torch.arange(L)) % 5).any(1)
    assert int(wrong.sum()) <= (3 if decoding == "ancestral" else 0)
    # Each of the 40 blocks is continued once before any is twice: 8 of each start in the first round.
    first = drawn[:40, 0].bincount(minlength=5)
    assert (first - 8).abs().max() <= 1


@pytest.mark.parametrize(("new", "penalty"), [(1, 1.0), (3, 1.0), (1, 2.0)])
def test_ancestral_tokens_have_the_models_probabilities(new: int, penalty: float) -> None:
    n, temperature = 4000, 1.5
    generator = uneven(temperature=temperature, repetition_penalty=penalty)
    context = torch.tensor([1, 3, 0])
    with isolated(2):
        drawn = generator._next(generator._begun(context.expand(n, -1)), new)
    assert drawn.shape == (n, new)
    # Of the last token, given those before as drawn, the most frequent one's.
    before, _ = drawn[:, :-1].mode(0)
    chosen = drawn[(drawn[:, :-1] == before).all(1), -1]
    with torch.no_grad():
        logits = generator.net(generator._begun(torch.cat([context, before]).unsqueeze(0))).logits[0, -1, :K]
    if penalty != 1:
        # Of tokens in the context; Keskar et al. 2019, and negative logits the other way round.
        for k in context.unique():
            logits[k] = logits[k] / penalty if logits[k] > 0 else logits[k] * penalty
    p = (logits.double() / temperature).softmax(0)
    assert p.max() > 0.3
    counts = chosen.bincount(minlength=K).double()
    z = (counts - len(chosen) * p) / (len(chosen) * p * (1 - p)).sqrt()
    assert z.abs().max() < 5


def test_beams_find_the_likeliest_continuation() -> None:
    # For two tokens of four, five beams forget nothing: the search is exhaustive.
    generator = uneven(decoding="beam")
    assert K <= BEAMS
    for context in torch.tensor([[1, 3, 0], [2, 2, 2], [0, 1, 3]]):
        ends, log_p = likelihoods(generator, context, 2)
        found = generator._next(generator._begun(context.unsqueeze(0)), 2)[0]
        assert found.tolist() == ends[log_p.argmax()].tolist()


def test_a_block_is_continued_half_by_half_within_known_positions(monkeypatch) -> None:
    generator = uneven()
    contexts: list[Tensor] = []

    def next_(context: Tensor, new: int) -> Tensor:
        contexts.append(context)
        return context.new_full((len(context), new), len(contexts))

    monkeypatch.setattr(generator, "_next", next_)
    prompt = torch.tensor([[0, 1, 2, 3, 0, 1]])
    assert generator._continued(prompt).tolist() == [[1, 1, 1, 2, 2, 2]]
    b = generator.begin
    assert [context.tolist() for context in contexts] == [[[b, 3, 0, 1]], [[b, 1, 1, 1]]]
    # A model that knows twice the positions continues the whole block from the whole block.
    contexts.clear()
    generator.window = 2 * L
    assert generator._continued(prompt).tolist() == [[1] * L]
    assert [context.tolist() for context in contexts] == [[[b, 0, 1, 2, 3, 0, 1]]]


def test_samples_are_seeded_and_counted() -> None:
    generator = uneven(sampling_batch=2)
    drawn = []
    for _ in range(2):
        with isolated(3), counted() as costs:
            drawn.append(generator.sample(torch.zeros(5).long()))
    assert torch.equal(*drawn)
    assert drawn[0].shape == (5, L)
    assert int(drawn[0].max()) < K
    assert (costs.samples, costs.network_evaluations) == (5, 5 * L)
    beam = uneven(decoding="beam")
    with counted() as costs:
        beam.sample(torch.zeros(5).long())
    assert costs.network_evaluations == 5 * L * BEAMS


def test_classes_continue_their_own_blocks() -> None:
    spec = StreamSpec("text", (L,), ("a", "b"), 1, vocabulary=K)
    generator = CausalLM(spec, CausalLMOptions(**TINY, steps=1), torch.device("cpu"), Progress(quiet=True))
    x = torch.cat([torch.zeros(3, L), torch.ones(4, L)]).long()
    generator.fit(Samples.real(x, x[:, 0]))
    assert (generator._prompts(1, 9) == 1).all()
    assert generator._prompts(0, 2).shape == (2, L)


def test_a_checkpoint_holds_the_tied_weights_once(tmp_path: Path) -> None:
    generator, copy = uneven(), make(seed=1)
    state.save(tmp_path / "it.safetensors", generator.state_dict())
    saved = state.load(tmp_path / "it.safetensors")
    assert not [name for name in saved if "lm_head" in name]
    copy.load_state_dict(saved)
    x = generator.prompts.x
    assert torch.equal(copy.nats(x), generator.nats(x))
    embedding = copy.net.model.decoder.embed_tokens.weight
    assert copy.net.lm_head.weight.data_ptr() == embedding.data_ptr()
    for one in (generator, copy):
        with isolated(0):
            one.drawn = one.sample(torch.zeros(4).long())
    assert torch.equal(copy.drawn, generator.drawn)


def test_divergence_is_told() -> None:
    generator = make(steps=50, learning_rate=1e12, clip=1e12)
    with isolated(0), pytest.raises(TrainingDiverged, match="generator causal-lm"):
        generator.fit(text(torch.randint(K, (20, L))))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OPT of four tokens and padding, in the files of Hugging Face."""
    from transformers import OPTConfig, OPTForCausalLM

    folder = tmp_path_factory.mktemp("pretrained")
    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "num_hidden_layers": 1}
    config = OPTConfig(vocab_size=8, max_position_embeddings=2 * L + 1, num_attention_heads=2, **sizes)
    with isolated(11):
        OPTForCausalLM(config).save_pretrained(folder)
    return folder


def test_pretrained_weights_are_where_every_fresh_generator_begins(pretrained: Path) -> None:
    first, second = (make(seed=seed, model=str(pretrained), steps=3) for seed in (0, 1))
    x = torch.randint(K, (6, L), generator=torch.Generator().manual_seed(0))
    assert torch.equal(first.nats(x), second.nats(x))
    assert first.begin == 2  # OPT's own
    assert first.window == 2 * L
    with isolated(0):
        first.fit(text(x))
        drawn = first.sample(torch.zeros(300).long())
    assert not torch.equal(first.nats(x), second.nats(x))
    # Neither padding nor the begin token, which is a token of the vocabulary here, and never an early end.
    assert sorted(drawn.unique().tolist()) == [0, 1, 3]


def test_a_model_that_reads_other_tokens_is_refused(pretrained: Path) -> None:
    with pytest.raises(UserError, match=r"knows 8 tokens, the benchmark has 300: .*-o tokenizer="):
        make(vocabulary=300, model=str(pretrained))
    with pytest.raises(UserError, match="knows 13 positions, too few to continue blocks of 7 tokens"):
        make(block=7, model=str(pretrained))


def test_no_weights_at_hand_is_one_clear_line(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"holds no model: it has no config\.json"):
        make(model=str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"^facebook/opt-125m cannot be loaded: .*`hf download facebook/opt"):
        make(model="facebook/opt-125m")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"need transformers; pip install 'cl-bench\[text\]'"):
        make()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"steps": 3, "epochs": 1}, "two lengths"),
        ({"decoding": "beam", "temperature": 0.5}, "no effect on decoding=beam"),
        ({"width": 10, "heads": 4}, "no multiple of heads"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CausalLMOptions(**options)


def test_images_are_refused() -> None:
    spec = StreamSpec("image", (1, 8, 8), ("a",), 1)
    with pytest.raises(UserError, match="makes text, not image data"):
        CausalLM(spec, CausalLMOptions(), torch.device("cpu"), Progress(quiet=True))
