"""Factors on the pre-softmax scores: learned for each picture (AAS), drawn, or one for all blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from engine.alter.alteration import Alteration
from engine.core.errors import BadStack
from engine.core.knobs import knob
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams, normal, uniform
from engine.model.gain import everywhere, multiplied
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim

SMALLEST = 1e-7
TINY = 1e-12

Distance = Callable[[Tensor, Tensor], PerExample]
"""How far two batches of features (b, ...) of a block are apart."""


def unit(new: Tensor, old: Tensor) -> PerExample:
    """| a / |a| - b / |b| |: what no rescaling of features changes."""
    return (_flat(new, True) - _flat(old, True)).norm(dim=1)


def product(new: Tensor, old: Tensor) -> PerExample:
    """| a - b | / (|a| |b|), as printed (AAS eq. 3): features times c make it 1 / c of itself."""
    a, b = _flat(new), _flat(old)
    return (a - b).norm(dim=1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(TINY)


def _flat(x: Tensor, of_length_one: bool = False) -> Float[Tensor, "b c"]:
    flat = (x if x.dtype == torch.float64 else x.float()).flatten(1)
    return torch.nn.functional.normalize(flat, dim=1) if of_length_one else flat


DISTANCES: Mapping[str, Distance] = {"unit": unit, "product": product}


@dataclass(frozen=True)
class Ascent:
    """What an ascent found: factors (p, l) or (p, l, h), h the most heads of a block; p is 1 where
    they are shared, else b. `path` is the distance (steps, b) that each step went out from, `end` that
    of the factors found.
    """

    factors: Tensor
    path: Tensor
    end: Callable[[], PerExample] = field(repr=False)

    @cached_property
    def distances(self) -> Tensor:
        """(steps + 1, b): at the start and after each step; the last pass is run when first asked for."""
        with torch.no_grad():
            return torch.cat((self.path, self.end()[None]))


def climb(
    distance: Callable[[Tensor], PerExample],
    start: Float[Tensor, "p ..."],
    base: Float[Tensor, "#p ..."] | None = None,
    *,
    steps: int = 10,
    rate: float = 0.1,
    raw: bool = False,
) -> Ascent:
    """s' = clamp(base + delta, 1e-7, 1), delta <- delta + rate g / max|g|, g = d distance / d s'.

    delta begins at `start`, base is 1 unless it is given, max is over the factors of a picture, and
    with `raw` the step is rate g. The clamp passes gradients, so that a factor at a bound can
    return. Source: AAS Algorithm 1, tgr_aas spec 3.1; A3 to A6 and A10 of its table 3.2.
    """
    base = torch.ones_like(start) if base is None else base
    delta, found = start, list[Tensor]()
    for _ in range(steps):
        moved = (base + delta).clamp(SMALLEST, 1).requires_grad_()
        with torch.enable_grad():
            here = distance(moved)
            (g,) = torch.autograd.grad(here.sum(), moved)
        found.append(here.detach())
        most = g.abs().amax(tuple(range(1, g.ndim)), keepdim=True).clamp_min(TINY)
        delta = delta + rate * (g if raw else g / most)
    factors = (base + delta).clamp(SMALLEST, 1)
    return Ascent(factors, torch.stack(found), partial(distance, factors))


def ascend(
    victim: Victim,
    images: Images,
    streams: Streams,
    *,
    per: str = "block",
    steps: int = 10,
    rate: float = 0.1,
    spread: float = 0.1,
    norm: str = "unit",
    raw: bool = False,
    shared: bool = False,
    base: Tensor | None = None,
) -> Ascent:
    """Factors that take the features of these pictures far from where they are (AAS, spec 3.7).

    distance(s') = sum_l dist(f_l(s'), f_l(base)), f_l the stream after block l; `climb` from
    delta ~ N(0, spread^2), drawn at "factors". Each picture has factors of its own, whatever its
    batch; `shared` ones are of the batch (p = 1), by the sum of the distances. A pass without and
    `steps` with a gradient for the factors alone. Raises UnsupportedModel.
    """
    apart = DISTANCES[norm]
    heads = _heads(victim, per)
    count = 1 if shared else len(images)
    start = spread * drawn((count, *heads.shape), streams).to(heads) * heads
    whole = torch.ones_like(start[:1]) if base is None else base.to(start)
    on, gains = multiplied(victim, whole)

    def features(factors: Tensor) -> list[Tensor]:
        gains.set(factors)
        with on.session(graph={Site.BLOCK_OUT}) as forward:
            return forward(images).values(Site.BLOCK_OUT)

    with torch.no_grad():
        reference = features(whole)

    def distance(factors: Tensor) -> PerExample:
        pairs = zip(features(factors), reference, strict=True)
        return torch.stack([apart(new, old) for new, old in pairs]).sum(0)

    return climb(distance, start, whole, steps=steps, rate=rate, raw=raw)


def drawn(shape: tuple[int, ...], streams: Streams) -> Tensor:
    """N(0, 1): where an ascent starts, in its own place among the streams."""
    return normal(shape, streams.at("factors"))


def shuffled(factors: Tensor, heads: Tensor, streams: Streams) -> Tensor:
    """Each picture's factors in another order: over blocks, or over all heads that there are."""
    there = heads.flatten().bool().nonzero().squeeze(1)
    flat = factors.flatten(1)
    order = uniform((len(flat), len(there)), streams.at("factors", "order")).argsort(1)
    mixed = flat[:, there].gather(1, order.to(flat.device))
    return flat.index_copy(1, there.to(flat.device), mixed).view_as(factors)


def _heads(victim: Victim, per: str) -> Tensor:
    """1 where there is a factor: (l,), or (l, h) where blocks may have fewer heads than the most."""
    blocks = victim.spec.blocks
    if per == "block":
        return torch.ones(len(blocks)).to(victim.device, victim.dtype)
    most = max((block.heads for block in blocks), default=0)
    own = torch.tensor([block.heads for block in blocks], device=victim.device)
    return (torch.arange(most, device=victim.device) < own[:, None]).to(victim.dtype)


@dataclass(frozen=True)
class Scaled(Alteration):
    """Adaptive attention scaling: softmax(s q k^T / sqrt(d) + ...), a factor s for each block or head.

    Learned factors are found by `ascend` for the pictures that are attacked (`fitted`); a model has
    none as it stands. The controls: `shuffled` are the learned ones in another order of blocks,
    `random` the start of the ascent alone, `uniform` one factor for all blocks. Departures (spec
    3.2): each picture has its own factors, in `literal` mode, too, where the paper has one set a
    minibatch; there is no extra factor on the logits.
    """

    name = "scaled"
    title = "AAS"
    paper = "Adaptive Attention Scaling, CVPR 2024"

    factors: str = knob(
        "learned",
        "Found by ascent for each picture; those in another order; its random start; or one for all.",
        choices=("learned", "shuffled", "random", "uniform"),
    )
    factor: float = knob(
        0.1, "The one factor of “uniform”.", label="Uniform factor", low=SMALLEST, high=300
    )
    per: str = knob(
        "block",
        "A factor for each block, or for each head of each block.",
        label="A factor per",
        choices=("block", "head"),
    )
    mode: str = knob(
        "resolved",
        "Literal adds the raw gradient of the printed distance, from N(0, 1): rate, spread and norm "
        "do not act.",
        choices=("resolved", "literal"),
    )
    steps: int = knob(10, "Steps of the ascent.", label="Ascent steps", low=1, high=100)
    rate: float = knob(
        0.1, "How far a step of the ascent moves the factor that matters most.", low=0, high=1
    )
    spread: float = knob(
        0.1, "The ascent starts at 1 plus normal noise of this size.", low=0, high=1
    )
    norm: str = knob(
        "unit",
        "Features compared at length one, or divided by both lengths, as printed.",
        choices=("unit", "product"),
    )
    known: Tensor | None = field(default=None, repr=False, compare=False)
    """Factors (p, l) or (p, l, h) once they are fitted to p pictures."""

    @property
    def outline(self) -> Alteration:
        return self if self.factors == "uniform" else replace(self, factors="uniform", factor=1.0)

    @property
    def told(self) -> str:
        if self.known is None:
            return ""
        heads = self.known.ndim == 3
        least = (self.known.amin(2) if heads else self.known)[0].tolist()
        which = "of the most scaled head " if heads else ""
        factors = ", ".join(f"{each:.2g}" for each in least)
        return (
            f"While it was attacked, the scores {which}of each block were multiplied by {factors}."
        )

    def fitted(self, victim: Victim, task: Task, streams: Streams) -> Alteration:
        if self.factors == "uniform" or self.known is not None:
            return self
        return replace(self, known=self._found(victim, task.images, streams))

    def of(self, rows: Tensor) -> Alteration:
        return self if self.known is None else replace(self, known=self.known[rows])

    def change(self, victim: Victim) -> Victim:
        if self.factors == "uniform":
            return everywhere(victim, self.factor)
        if self.known is None:
            raise BadStack(
                f"{self.factors.capitalize()} factors belong to the pictures that are attacked, so "
                "no model has them as it stands.",
                "Craft on it, or choose uniform factors.",
            )
        return multiplied(victim, self.known)[0]

    def _found(self, victim: Victim, images: Images, streams: Streams) -> Tensor:
        literal = self.mode == "literal"
        spread = 1.0 if literal else self.spread
        if self.factors == "random":
            heads = _heads(victim, self.per)
            start = drawn((len(images), *heads.shape), streams).to(heads) * heads
            return (1 + spread * start).clamp(SMALLEST, 1)
        found = ascend(
            victim,
            images,
            streams,
            per=self.per,
            steps=self.steps,
            rate=1.0 if literal else self.rate,
            spread=spread,
            norm="product" if literal else self.norm,
            raw=literal,
        ).factors
        if self.factors == "shuffled":
            return shuffled(found, _heads(victim, self.per), streams)
        return found
