"""A causal language model, OPT, that continues the text it was trained on.

Papers: S. Zhang et al., "OPT: Open Pre-trained Transformer Language Models", 2022 (arXiv 2205.01068), in
Hugging Face's implementation; the loop of I. Shumailov et al. 2023 (arXiv 2305.17493; Nature 631:755), §5 on
OPT-125m and WikiText-2:

  loss = − Σ_i log p(x_i | x_<i) / L over blocks x of L tokens (64 in the paper), minimised from pretrained
  weights; a synthetic block is the continuation of a block of the training data by the next L tokens, decoded
  by beam search with 5 beams. Each generation begins with the pretrained weights again: strategy option
  start=fresh.

`model` names the pretrained weights. Without it the same architecture is made from a small configuration and
begins at random, for machines without weights, network or GPU.

Deviations:
- Every sample continues a block of the set that the generator was last fitted to, real or synthetic, each
  block once before any comes again, in random order. The paper may mean the real blocks at every generation;
  a loop without real data would then still read them.
- Every block begins with the model's begin token, so that all of its L tokens are predicted, the first one
  from nothing; implementations that shift a block by one predict L − 1, and their perplexity is some percent
  lower.
- The paper does not report optimiser, rate and batch: AdamW, its rate warming up and falling by a cosine. It
  keeps the best checkpoint on real validation text; here the last weights are kept, and no real text selects.
- A model that begins at random knows positions up to L only, where training ends. It continues a block half
  by half, each from the L/2 tokens before.
- Decoding never ends early: a sample has L tokens, none of them the begin token or beyond the benchmark's
  vocabulary. `decoding=beam` is the paper's; `ancestral`, the default, draws each token from the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.checkpoint import Checkpoint
from cl_bench.costs import evaluated, sampling
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.hub import from_hub, transformers
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import MicroBatches, rate
from cl_bench.training_record import TrainingRecord

BEAMS = 5  # Shumailov et al. 2023
PADDING = 128  # pretrained models have up to so many unused tokens, for the sake of even numbers
FRESH_RATE, PRETRAINED_RATE = 2e-3, 5e-5
WHAT = "generator causal-lm"


@dataclass(frozen=True)
class CausalLMOptions:
    DEFAULT_STEPS: ClassVar[int] = 200

    model: str | None = None
    """pretrained OPT to begin with: a folder in Hugging Face's format, or a name, as facebook/opt-125m; the
    benchmark needs its tokenizer. none: a small one that begins at random"""
    layers: Annotated[int, Gt(0)] = 2
    """layers of the small model"""
    width: Annotated[int, Gt(0)] = 128
    """width of the small model, a multiple of heads"""
    heads: Annotated[int, Gt(0)] = 4
    """attention heads of the small model"""
    steps: Annotated[int, Gt(0)] | None = None
    """training steps per task; none for epochs, or, without those, 200"""
    epochs: Annotated[float, Gt(0)] | None = None
    """training length in passes over the task's training set, instead of steps"""
    batch: Annotated[int, Gt(0)] = 32
    """blocks per training step, over all processes"""
    learning_rate: Annotated[float, Gt(0)] | None = None
    """AdamW's rate after a warm-up over the first twentieth of the steps, falling to zero by a cosine; none
    for 0.002, or 0.00005 with a pretrained model"""
    clip: Annotated[float, Gt(0)] = 1.0
    """largest norm of the gradient"""
    decoding: Literal["ancestral", "beam"] = "ancestral"
    """draw each token at random, or search for the likeliest continuation with 5 beams"""
    temperature: Annotated[float, Gt(0)] = 1.0
    """of ancestral decoding: logits are divided by it"""
    repetition_penalty: Annotated[float, Gt(0)] = 1.0
    """of tokens that were there before, logits are divided by it, or multiplied where negative; 1 for none"""
    sampling_batch: Annotated[int, Gt(0)] = 256
    """blocks sampled or judged at once"""
    weights: str | None = None
    """run, or safetensors file, whose generator a fresh one begins as; what does not fit begins at random"""

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps={self.steps} and epochs={self.epochs:g} are two lengths; give one")
        if self.decoding == "beam" and self.temperature != 1:
            raise ValueError(f"temperature={self.temperature:g} has no effect on decoding=beam")
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is no multiple of heads={self.heads}")

    def steps_for(self, n: int) -> int:
        """Training steps on a set of n blocks."""
        if self.epochs is not None:
            return max(math.ceil(self.epochs * n / self.batch), 1)
        return self.steps or self.DEFAULT_STEPS


@register_generator("causal-lm")
class CausalLM(Generator):
    """OPT, pretrained or small, trained on blocks of text; samples continue them, at random or by beams."""

    paper = "Zhang et al. 2022, arXiv 2205.01068; Shumailov et al. 2023, arXiv 2305.17493"
    Options = CausalLMOptions

    def __init__(
        self, spec: StreamSpec, options: CausalLMOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "text":
            raise UserError(f"generator 'causal-lm' makes text, not {spec.modality} data; choose wikitext2")
        (self.block,) = spec.shape
        self.net = _pretrained(options.model, spec) if options.model else _small(options, spec)
        self.net.to(device).eval()
        # What a pretrained model came with would fill in what `_next` leaves open.
        self.net.generation_config = transformers().GenerationConfig()
        # Positions that it knows are twice a block, or a block, without the begin token.
        self.window = 2 * self.block if options.model else self.block
        self.begin = int(self.net.config.bos_token_id)
        self.prompts = Samples.real(torch.empty(0, self.block).long(), torch.empty(0).long())

    def fit(self, data: Samples) -> None:
        options = self.options
        steps = options.steps_for(len(data))
        peak = options.learning_rate or (PRETRAINED_RATE if options.model else FRESH_RATE)
        x = data.x.to(self.device)
        optimiser = torch.optim.AdamW(self.net.parameters(), peak, weight_decay=0.01, fused=True)
        guard, micro_batches = LossGuard(WHAT), MicroBatches(optimiser, self.progress)
        record = TrainingRecord(WHAT, steps, options.batch)
        checkpoint = Checkpoint({"net": self.net, "record": record}, {"net": optimiser}, self.device)
        self.net.train()
        done = checkpoint.restore()
        record.begin(done)
        for step in self.progress.steps(steps, "generator", done):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate(step, steps)
            blocks = x[torch.randint(len(x), (options.batch,), device=self.device)]
            loss = micro_batches.backward(lambda part: self._token_nats(part).mean(), (blocks,))
            record.add(step, guard.check(loss))
            nn.utils.clip_grad_norm_(self.net.parameters(), options.clip)
            optimiser.step()
            checkpoint.save_now_and_then(step + 1)
        record.write(checkpoint)
        checkpoint.remove()
        optimiser.zero_grad()
        self.net.eval()
        self.prompts = Samples.real(data.x.cpu().clone(), data.y.cpu().clone())

    def _token_nats(self, x: Tensor) -> Tensor:
        """−log p(x_i | x_<i) of blocks (n, L): (n, L)."""
        logits = self.net(self._begun(x[:, :-1])).logits.float()
        return nn.functional.cross_entropy(logits.transpose(1, 2), x, reduction="none")

    def _begun(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (1, 0), value=self.begin)

    @torch.no_grad()
    def nats(self, x: Tensor) -> Tensor:
        parts = x.split(self.options.sampling_batch)
        return torch.cat([self._token_nats(part.to(self.device)).double().sum(1).cpu() for part in parts])

    @torch.no_grad()
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        x = torch.empty(len(labels), self.block, dtype=torch.int64)
        with sampling(len(labels)):
            for c in labels.unique().tolist():
                rows = torch.nonzero(labels == c).flatten()
                prompts = self._prompts(c, len(rows)).split(self.options.sampling_batch)
                told = self.progress.steps(len(prompts), "sampling")
                x[rows] = torch.cat([self._continued(prompts[i].to(self.device)).cpu() for i in told])
        return x

    def _prompts(self, c: int, n: int) -> Tensor:
        """n blocks of class c, in rounds of all of them in random order; begin tokens before any training."""
        x = self.prompts.of((c,)).x
        if not len(x):
            return torch.full((n, self.block), self.begin)
        rounds = [torch.randperm(len(x)) for _ in range(math.ceil(n / len(x)))]
        return x[torch.cat(rounds)[:n]]

    def _continued(self, text: Tensor) -> Tensor:
        """The next L tokens after each of (n, L): (n, L)."""
        made, at_once = text[:, :0], max(self.window // 2, 1)
        while made.shape[1] < self.block:
            new = min(at_once, self.block - made.shape[1])
            context = torch.cat([text, made], 1)[:, self.block + made.shape[1] - (self.window - new) :]
            made = torch.cat([made, self._next(self._begun(context), new)], 1)
        return made

    def _next(self, context: Tensor, new: int) -> Tensor:
        """`new` tokens after each of (n, k): (n, new)."""
        options, beams = self.options, BEAMS if self.options.decoding == "beam" else 1
        never = [self.begin, *range(self.spec.vocabulary, self.net.config.vocab_size)]
        config = transformers().GenerationConfig(
            max_new_tokens=new,
            do_sample=beams == 1,
            num_beams=beams,
            temperature=options.temperature if beams == 1 else None,
            top_k=0 if beams == 1 else None,
            repetition_penalty=options.repetition_penalty,
            suppress_tokens=never,
            pad_token_id=self.begin,
            bos_token_id=self.begin,
            eos_token_id=None,
        )
        out = self.net.generate(context, attention_mask=torch.ones_like(context), generation_config=config)
        evaluated(new * beams * len(context))
        return out[:, context.shape[1] :]

    def state_dict(self) -> State:
        # The last layer's weights are the embedding's.
        net = {name: value for name, value in self.net.state_dict().items() if name != "lm_head.weight"}
        return prefixed("net", net) | prefixed("prompts", self.prompts.state_dict())

    def load_state_dict(self, state: State) -> None:
        net = under("net", state)
        self.net.load_state_dict(net | {"lm_head.weight": net["model.decoder.embed_tokens.weight"]})
        self.prompts = Samples.from_state_dict(under("prompts", state))


def _small(options: CausalLMOptions, spec: StreamSpec) -> Any:
    """OPT that begins at random, with one token more than the benchmark has, to begin with."""
    library = transformers()
    config = library.OPTConfig(
        vocab_size=spec.vocabulary + 1,
        hidden_size=options.width,
        word_embed_proj_dim=options.width,
        ffn_dim=4 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        max_position_embeddings=spec.shape[0] + 1,
        dropout=0.0,
        attention_dropout=0.0,
        bos_token_id=spec.vocabulary,
        eos_token_id=None,
        pad_token_id=None,
    )
    return library.OPTForCausalLM(config)


def _pretrained(model: str, spec: StreamSpec) -> Any:
    """OPT as others trained it. Raises UserError where it cannot be had or reads other tokens."""
    net = from_hub(transformers().OPTForCausalLM, model).float()
    known, positions = net.config.vocab_size, net.config.max_position_embeddings
    if not known - PADDING < spec.vocabulary <= known:
        raise UserError(
            f"{model} knows {known} tokens, the benchmark has {spec.vocabulary}: the tokenizer is another; "
            f"say -o tokenizer={model}"
        )
    if positions < 2 * spec.shape[0] + 1:
        raise UserError(
            f"{model} knows {positions} positions, too few to continue blocks of {spec.shape[0]} tokens; "
            "choose a smaller -o block="
        )
    return net
