"""What was measured on photographs: every threat, every block, and how many tokens it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.evaluate.claim import figure
from engine.evaluate.interval import Estimate, Rate
from engine.evaluate.words import apart, signed

Model = Literal["public", "private", "random"]
"""Without tokens, with the defender's, and with as many untrained ones: the control."""
Attacker = Literal["noise", "transfer", "surrogate", "adaptive", "restarts", "auto"]
"""Sign noise; the four threats; and AutoAttack, quick, on the first few. On the model without tokens
"transfer" is made on itself."""
Quantity = Literal["largest", "own", "outliers", "spared", "kept", "mass"]
"""As `inside.Inside` has them, mean over pictures; `mass` in %, mean over heads."""
Shown = Literal["clean", "transfer", "adaptive"]


@dataclass(frozen=True)
class About:
    """What was measured on what: `pictures`, changed by at most `eps` in pixels of [0, 1].

    `auto` of them met AutoAttack, `few` the sweep. `source` says where the tokens are from; outliers
    begin at `threshold`, of `columns` inputs of all blocks; pictures have `patches`.
    """

    model: str
    device: str
    pictures: int
    auto: int
    few: int
    eps: float
    steps: int
    restarts: int
    tokens: int
    source: str
    threshold: float
    columns: int
    patches: int


@dataclass(frozen=True)
class Clean:
    """Untouched pictures: cosine of the feature with the public model's, % right, and what that is
    less than the public model's, in points."""

    model: Model
    kept: Estimate
    right: Estimate
    cost: Rate


@dataclass(frozen=True)
class Met:
    """An attacker's pictures in a model.

    kept     cosine with the public model's feature of the clean picture;  own: with its own feature of
             it, as published. None of AutoAttack, which aims at the answer
    right    % right under the attack on the feature;  stands: under PGD (or AutoAttack) on the answer
    gain_*   what a model has over the public one that is attacked with its own gradient and as many
             tries, paired: cosine, and points; None of that one itself
    """

    model: Model
    attacker: Attacker
    gradients: int
    pictures: int
    kept: Estimate | None
    own: Estimate | None
    right: Estimate | None
    stands: Estimate | None
    gain_kept: Estimate | None
    gain_stands: Rate | None


@dataclass(frozen=True)
class Secrecy:
    """What the model with tokens keeps while nobody knows them, beyond what it keeps of an attacker who
    has them, paired: cosine under the attack on the feature, points of right answers under PGD."""

    kept: Estimate
    stands: Rate


@dataclass(frozen=True)
class Curve:
    """A quantity by block, and over all of them: the largest of `largest` and `own`, the sum of
    `outliers` and `spared`, the mean of `kept` and `mass`."""

    quantity: Quantity
    model: Model
    shown: Shown
    blocks: tuple[Estimate, ...]
    whole: Estimate


@dataclass(frozen=True)
class Swept:
    """Tokens of another number, trained for `steps` on `pictures` others: the sum of both cosines in
    training, first and in the last steps (2 is the most), and cosines of pictures not trained on."""

    tokens: int
    steps: int
    pictures: int
    first: float
    last: float
    clean: Estimate
    transfer: Estimate
    adaptive: Estimate


@dataclass(frozen=True)
class Findings:
    """Of one model and its tokens."""

    about: About
    clean: tuple[Clean, ...]
    met: tuple[Met, ...]
    secrecy: Secrecy
    curves: tuple[Curve, ...]
    swept: tuple[Swept, ...]

    def under(self, model: Model, attacker: Attacker) -> Met | None:
        """A model under an attacker; None where that was not measured."""
        return next((e for e in self.met if (e.model, e.attacker) == (model, attacker)), None)

    def untouched(self, model: Model) -> Clean:
        return next(each for each in self.clean if each.model == model)

    def curve(self, quantity: Quantity, model: Model, shown: Shown) -> Curve | None:
        """A quantity by block; None where a model does not have it."""
        wanted = (quantity, model, shown)
        return next((e for e in self.curves if (e.quantity, e.model, e.shown) == wanted), None)


STRONGEST: tuple[Attacker, ...] = ("auto", "restarts", "adaptive")


def sentences(found: Findings) -> Iterator[str]:
    """What tokens give against an attacker without them, what against one who has them, and the price."""
    yield from withheld(found)
    yield from known(found)
    yield from price(found)


def withheld(found: Findings) -> Iterator[str]:
    """The published threat: pictures made on the public model."""
    bare, armed = found.under("public", "transfer"), found.under("private", "transfer")
    if not (bare and armed and bare.kept and armed.kept and armed.gain_kept):
        return
    told = f"{found.about.tokens} tokens keep {_cosine(armed.kept)}"
    if not apart(armed.gain_kept):
        told += ", which so few photographs do not tell apart"
    yield (
        f"Attacked by at most {255 * found.about.eps:g}/255 on the model without tokens, {found.about.pictures} "
        f"photographs keep a cosine of {_cosine(bare.kept)} with their clean feature; {told}."
    )
    if bare.right and armed.right and bare.stands and armed.stands:
        yield (
            f"Right answers then: {_percent(bare.right)} without tokens, {_percent(armed.right)} with them; "
            f"under PGD on the answer {_percent(bare.stands)} and {_percent(armed.stands)}."
        )


def known(found: Findings) -> Iterator[str]:
    """An attacker who has the very tokens, or own ones."""
    adaptive = found.under("private", "adaptive")
    if not adaptive or not adaptive.kept or not adaptive.right:
        return
    rival = found.under("private", "surrogate")
    own = f", against one who trained others {_cosine(rival.kept)}" if rival and rival.kept else ""
    worth = found.secrecy.kept
    told = (
        f"secrecy is worth {worth.value:.3f} [{worth.low:.3f}, {worth.high:.3f}] of it"
        if apart(worth)
        else "secrecy adds nothing that shows"
    )
    yield (
        f"Against an attacker who has the tokens they keep {_cosine(adaptive.kept)}{own}; {told}. Right answers "
        f"then: {_percent(adaptive.right)}."
    )


def price(found: Findings) -> Iterator[str]:
    """Untouched pictures."""
    armed = found.untouched("private")
    sure = "" if apart(armed.cost) else ", which so few photographs do not tell from nothing"
    yield (
        f"On untouched pictures the feature keeps {_cosine(armed.kept)}, and accuracy changes by "
        f"{signed(-armed.cost.value / 100, 1)} points{sure}."
    )


def _cosine(of: Estimate) -> str:
    return f"{of.value:.2f} [{of.low:.2f}, {of.high:.2f}]".replace("-", "−")


def _percent(of: Estimate) -> str:
    return figure(of, "%")
