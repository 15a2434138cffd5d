"""A victim: a frozen classifier on [0, 1] pixels whose named sites can be seen and edited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.core.errors import MissingSite, RaggedSite, RuleNeverFired
from engine.core.shapes import Images, Logits
from engine.model.sites import Address, Rule, Site


@dataclass(frozen=True)
class BlockShape:
    """Geometry of one block: heads, width, and its tokens as prefix + grid (rows, columns).

    `window` (rows, columns), where attention stays inside windows that are folded into the batch;
    `queries`, where fewer tokens ask than answer (class attention: 1). A block of a CNN has no heads.
    `tokens` of the prefix, its last ones, are Robustness Tokens.
    """

    heads: int
    width: int
    prefix: int
    grid: tuple[int, int]
    window: tuple[int, int] | None = None
    queries: int | None = None
    tokens: int = 0


@dataclass(frozen=True)
class Spec:
    """What a victim is: labels, input, normalisation, geometry of its blocks and its sites.

    `name` is that of the model as it was loaded, whatever was done to it since (`alterations`).
    """

    name: str
    family: str
    classes: tuple[str, ...]
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    blocks: tuple[BlockShape, ...] = ()
    sites: frozenset[Site] = frozenset()
    alterations: tuple[Callable[[Victim], Victim], ...] = ()

    @property
    def depth(self) -> int:
        return len(self.blocks)

    @property
    def full(self) -> str:
        """The name with all alterations: "vit|ats|int8:threshold=4"."""
        return "|".join((self.name, *map(str, self.alterations)))


@dataclass(frozen=True)
class Forward:
    """One pass: images in, logits out, and what was asked to be seen on the way.

    `seen` holds values by address; `grads` fills when a gradient is taken through the logits, and
    holds gradients *after* the rules' edits.
    """

    images: Images
    logits: Logits
    seen: Mapping[Address, Tensor]
    grads: Mapping[Address, Tensor]

    def values(self, site: Site, slot: str = "") -> list[Tensor]:
        """The site's values in block order."""
        return _by_block(self.seen, site, slot)

    def gradients(self, site: Site, slot: str = "") -> list[Tensor]:
        """The site's edited gradients in block order."""
        return _by_block(self.grads, site, slot)

    def stack(self, site: Site) -> Tensor:
        """The site's values as (l, b, ...); raises RaggedSite where blocks differ in shape."""
        values = self.values(site)
        if len({tuple(v.shape) for v in values}) > 1:
            raise RaggedSite(
                f"The blocks of this model differ in shape at “{site.value}”.",
                "Read the values block by block.",
            )
        return torch.stack(values)


def _by_block(kept: Mapping[Address, Tensor], site: Site, slot: str) -> list[Tensor]:
    places = sorted(at for at in kept if at.site is site and at.slot == slot)
    return [kept[at] for at in places]


Forwarder = Callable[[Images], Forward]


class Tap:
    """What a family calls at each site while a session is open."""

    def __init__(
        self,
        rules: Sequence[Rule],
        observe: Collection[Site],
        gradients: Collection[Site],
        graph: Collection[Site] = (),
    ) -> None:
        self.rules = tuple(rules)
        self.observe = frozenset({*observe, *graph})
        self.gradients = frozenset(gradients)
        self.graph = frozenset({*gradients, *graph})
        self.need = self.observe | self.gradients | {s for rule in rules for s in rule.sites}
        self.seen: dict[Address, Tensor] = {}
        self.grads: dict[Address, Tensor] = {}
        self._acting = {
            site: tuple(rule for rule in self.rules if site in rule.sites) for site in self.need
        }
        self._unreached = {site for rule in self.rules for site in rule.sites}

    def __call__(self, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
        at = Address(site, block, slot)
        for rule in self._acting.get(site, ()):
            x = rule.edit(x, at)
        if site in self.observe:
            self.seen[at] = x if site in self.graph else x.detach()
        edit = self.backward(site, block, slot)
        if edit is not None and x.requires_grad:
            x.register_hook(edit)
        return x

    def reads(self, site: Site) -> bool:
        """Whether anybody sees or edits values there, and not gradients only."""
        rules = self._acting.get(site, ())
        return site in self.observe or any(type(rule).edit is not Rule.edit for rule in rules)

    def backward(self, site: Site, block: int, slot: str = "") -> Callable[[Tensor], Tensor] | None:
        """What happens to the gradient at a place; None where nothing does."""
        self._unreached.discard(site)
        at = Address(site, block, slot)
        rules = self._acting.get(site, ())
        acting = [rule for rule in rules if type(rule).grad is not Rule.grad]
        watched = site in self.gradients
        if not acting and not watched:
            return None
        grads = self.grads  # Not self, which holds x: that cycle would wait for the collector.

        def edit(g: Tensor) -> Tensor:
            for rule in acting:
                g = rule.grad(g, at)
            if watched:
                grads[at] = g.detach()
            return g

        return edit

    def unfired(self) -> tuple[Rule, Site] | None:
        """A rule whose site was never reached, and that site."""
        left = ((rule, site) for rule in self.rules for site in sorted(rule.sites))
        return next(((rule, site) for rule, site in left if site in self._unreached), None)


@dataclass(frozen=True)
class Family:
    """How one family of models is tapped: `install(module, tap, stack)` hooks what `tap` needs.

    `lens(module, x)` reads a residual stream (b, n, d) as logits, where the family has such a
    reading (final norm and head), else None. `attentions(module)` are the modules of its blocks, in
    order, that a softmax is in; None where there is none.
    """

    name: str
    sites: frozenset[Site]
    install: Callable[[nn.Module, Tap, ExitStack], None]
    lens: Callable[[nn.Module, Tensor], Logits] | None = None
    attentions: Callable[[nn.Module], Sequence[nn.Module]] | None = None


@dataclass(frozen=True)
class Victim:
    """A classifier under study. Parameters are frozen, evaluation mode is on, one lock guards it.

    One that is fitted to the pictures of a batch (`engine.alter.stack.fitted`) says in `part` what it
    is for some of them.
    """

    spec: Spec
    module: nn.Module
    family: Family
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    part: Callable[[Tensor], Victim] | None = field(default=None, repr=False, compare=False)
    _mean: Tensor = field(init=False, repr=False, compare=False)
    _std: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False)
        where = next(self.module.parameters())
        shape = (1, -1, 1, 1)
        for name, values in (("_mean", self.spec.mean), ("_std", self.spec.std)):
            object.__setattr__(self, name, where.new_tensor(values).view(shape))

    def __or__(self, alteration: Callable[[Victim], Victim]) -> Victim:
        """The victim so altered: `victim | TokenSampling() | Int8(4)`."""
        return alteration(self)

    @property
    def device(self) -> torch.device:
        return self._mean.device

    @property
    def dtype(self) -> torch.dtype:
        """What its weights are kept in."""
        return self._mean.dtype

    def of(self, rows: Tensor) -> Victim:
        """The victim of some of the pictures (numbers or a mask): most are the same for any."""
        return self.part(rows) if self.part else self

    def logits(self, images: Images) -> Logits:
        """Logits of pixels in [0, 1], through the unmodified model."""
        return self.module(self.normalised(images))

    def normalised(self, images: Images) -> Images:
        """Pixels in [0, 1] as the module takes them."""
        return (images - self._mean) / self._std

    def lens(self, stream: Float[Tensor, "b n d"]) -> Logits | None:
        """A residual stream (b, n, d) read by the model's own final norm and head."""
        return self.family.lens(self.module, stream) if self.family.lens else None

    @contextmanager
    def session(
        self,
        *,
        rules: Sequence[Rule] = (),
        observe: Collection[Site] = (),
        gradients: Collection[Site] = (),
        graph: Collection[Site] = (),
    ) -> Generator[Forwarder]:
        """Open the sites that are asked for; a session that asks for none costs nothing.

        `observe` fills `Forward.seen`, `graph` does so with values that a loss can go back through
        (and keeps no gradient, which takes time); `gradients` fills `Forward.grads` during a backward pass
        that must happen inside the `with`. Hooks and lock go when it ends. Raises MissingSite,
        and RuleNeverFired where a forward pass went by a rule without reaching it.
        """
        tap = Tap(rules, observe, gradients, graph)
        missing = tap.need - self.spec.sites
        if missing:
            have = ", ".join(sorted(self.spec.sites)) or "none"
            wanted = ", ".join(sorted(missing))
            raise MissingSite(f"{self.spec.full} has no site “{wanted}”.", f"It has: {have}.")
        ran = False

        def forward(images: Images) -> Forward:
            nonlocal ran
            ran = True
            tap.seen, tap.grads = {}, {}
            return Forward(images, self.logits(images), tap.seen, tap.grads)

        with self.lock, ExitStack() as stack:
            if tap.need:
                self.family.install(self.module, tap, stack)
            yield forward
        if ran and (left := tap.unfired()):
            rule, site = left
            raise RuleNeverFired(
                f"{type(rule).__name__} was never reached at “{site.value}” in {self.spec.full}.",
                "The attack would silently have been another; report this model.",
            )
