"""What is told of Robustness Tokens: threats, what happens inside, the number of tokens, the paper's table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.evaluate.claim import figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.papers.robustness_tokens import published
from engine.papers.robustness_tokens.findings import (
    Attacker,
    Findings,
    Met,
    Model,
    Quantity,
    Shown,
    sentences,
)
from engine.papers.told import studies, titles

ABOUT = (
    "`python -m engine claims robustness_tokens FOLDER --model NAME`. Cosines are per token over its channels, mean "
    "over tokens, with the feature that the model without tokens has of the clean picture; the paper's "
    "run over the tokens, channel by channel. Gains are paired, on the same model without tokens, attacked "
    "with its own gradient and as many tries. The paper measured the transfer threat only."
)
WORDS: dict[Attacker, str] = {
    "noise": "sign noise",
    "transfer": "transfer (published)",
    "surrogate": "surrogate",
    "adaptive": "adaptive",
    "restarts": "adaptive, restarts",
    "auto": "AutoAttack, quick",
}
OWN = WORDS | {"transfer": "its own gradient", "restarts": "its own gradient, restarts"}
MODELS: dict[Model, str] = {"public": "none", "private": "trained", "random": "random"}
CURVES: tuple[tuple[str, Quantity], ...] = (
    ("largest activation", "largest"),
    ("of the tokens' own rows", "own"),
    ("outlier columns", "outliers"),
    ("without the tokens' own rows", "spared"),
    ("patches that sampling keeps, mean of blocks", "kept"),
    ("attention paid to the tokens, %", "mass"),
)


def findings() -> Iterator[str]:
    """What tokens buy, against whom."""
    found = studies("robustness_tokens", Findings)
    names = titles(found)
    for each in found:
        yield f"**Robustness Tokens on {names[each.model]}.** {' '.join(sentences(each.findings))}"


def sections() -> str:
    """Tables of every study, and the paper's beside them."""
    found = studies("robustness_tokens", Findings)
    if not found:
        return ""
    names = titles(found)
    parts = [_section(each, names[each.model]) for each in found]
    return "\n".join([*parts, _published()])


def _section(study: Study[Findings], title: str) -> str:
    found, about = study.findings, study.findings.about
    parts = [
        f"## Robustness Tokens on {title}\n\n{about.tokens} tokens, {about.source}. {about.pictures} photographs of "
        f"`{study.about['folder']}`, eps {255 * about.eps:g}/255, {about.steps} steps, {about.restarts} tries.\n\n"
        f"{_clean(found)}\n{_met(found)}\n{_secrecy(found)}\n\nInside both models, mean over photographs; outliers begin at "
        f"{about.threshold:.3g}, of {about.columns} columns, and there are {about.patches} patches:\n\n{_inside(found)}"
    ]
    if found.swept:
        first = found.swept[0]
        parts.append(
            f"Tokens of other numbers, each set trained for {first.steps} steps on {first.pictures} "
            f"photographs and measured on {about.few} others:\n\n{_swept(found)}"
        )
    return "\n".join(parts)


def _clean(found: Findings) -> str:
    of = found.clean
    return table(
        {
            "untouched, tokens": [MODELS[each.model] for each in of],
            "cosine": [_cosine(each.kept) for each in of],
            "right": [figure(each.right, "%") for each in of],
            "costs": [figure(e.cost, "points") if e.model != "public" else "" for e in of],
        }
    )


def _met(found: Findings) -> str:
    of: Sequence[Met] = found.met
    return table(
        {
            "attacker": [(OWN if each.model == "public" else WORDS)[each.attacker] for each in of],
            "tokens": [MODELS[each.model] for each in of],
            "gradients": [str(each.gradients) for each in of],
            "photographs": [str(each.pictures) for each in of],
            "cosine": [_cosine(each.kept) for each in of],
            "with own clean feature": [_cosine(each.own) for each in of],
            "gained on none": [_cosine(each.gain_kept, signed=True) for each in of],
            "right under it": ["" if e.right is None else figure(e.right, "%") for e in of],
            "right under PGD": ["" if e.stands is None else figure(e.stands, "%") for e in of],
            "gained": [
                "" if e.gain_stands is None else figure(e.gain_stands, "points") for e in of
            ],
        }
    )


def _secrecy(found: Findings) -> str:
    kept, stands = found.secrecy.kept, found.secrecy.stands
    return (
        "What it is worth that nobody knows the tokens, transfer less adaptive: cosine "
        f"{_cosine(kept)}, right under PGD {figure(stands, 'points')}."
    )


def _inside(found: Findings) -> str:
    looks: dict[str, tuple[Model, Shown]] = {
        "none, untouched": ("public", "clean"),
        "none, attacked": ("public", "transfer"),
        "trained, untouched": ("private", "clean"),
        "trained, transfer": ("private", "transfer"),
        "trained, adaptive": ("private", "adaptive"),
    }
    columns = {"": [words for words, _ in CURVES]}
    for words, look in looks.items():
        found_here = [found.curve(quantity, *look) for _, quantity in CURVES]
        columns[words] = [
            "" if each is None else figure(each.whole, "columns") for each in found_here
        ]
    return table(columns)


def _swept(found: Findings) -> str:
    of = found.swept
    printed = [published.COUNTS.get(each.tokens) for each in of]
    return table(
        {
            "tokens": [str(each.tokens) for each in of],
            "both cosines in training": [f"{each.first:.2f} → {each.last:.2f}" for each in of],
            "paper, DINOv2-S": ["" if p is None else f"{p[0]:.2f} → {p[1]:.2f}" for p in printed],
            "untouched": [_cosine(each.clean) for each in of],
            "transfer": [_cosine(each.transfer) for each in of],
            "adaptive": [_cosine(each.adaptive) for each in of],
        }
    )


def _published() -> str:
    of = published.TABLE

    def two(pair: tuple[float | None, float] | None, digits: int) -> str:
        if pair is None:
            return ""
        return " → ".join("?" if each is None else f"{each:.{digits}f}" for each in pair)

    columns = {
        "backbone": [f"{each.backbone} {each.size}" for each in of],
        "cosine under attack": [two(each.cosine, 2) for each in of],
        "right, clean": [two(each.clean, 1) for each in of],
        "right, attacked": [two(each.robust, 1) for each in of],
    }
    return (
        "## Robustness Tokens as published\n\nWithout tokens → with ten of them, on ImageNet, at 8/255 of the normalised "
        "picture (about 1.8/255 in pixels there), attackers with the public model only; the cosine is with the model's own clean feature, over the "
        f"tokens (Pulfer et al., ECCV 2024). No attacker who has the tokens was measured.\n\n{table(columns)}"
    )


def _cosine(of: Estimate | None, *, signed: bool = False) -> str:
    if of is None:
        return ""
    value, low, high = (
        f"{each:{'+' if signed else ''}.2f}" for each in (of.value, of.low, of.high)
    )
    span = f" [{low}, {high}]" if of.low < of.high else ""
    return f"{value}{span}".replace("-", "−")
