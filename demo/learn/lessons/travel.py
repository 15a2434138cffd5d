"""Lesson 1: why an attack made on one model fools another, and what TGR does to its gradients."""

from __future__ import annotations

import math
from collections import Counter
from html import escape

from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Mark, Seen, Step, Task
from demo.learn.said import DONG, percent, says
from engine.evaluate.words import apart, points
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.tgr.ablation import RandomTokens
from engine.papers.tgr.compare import VARIANTS, Comparison, Variant
from engine.papers.tgr.effects import SAME, Effect, Measure, effects, fooled, zeroed
from engine.papers.tgr.gains import study
from engine.studio import Result
from engine.studio.result import Transfer

TGR = (
    "Zhang, Huang, Wu and Lyu, <i>Transferable Adversarial Attacks on Vision Transformers with Token Gradient "
    "Regularization</i>, CVPR 2023"
)
OTHERS = ["pit_imagenette", "deit_imagenette", "resnet_imagenette", "visformer_imagenette"]
BUDGET, MLP, LOUDEST = 16, 2, 5
PAPER = 0.088  # its abstract, on the best attack before it, ViTs as targets
BY_VARIANT = {name: i for i, name in enumerate(VARIANTS)}
CHURCH = {"source": "sample:church", "knob-eps": BUDGET, "others": OTHERS}
BLACK_BOX = """<math display="block"><msup><mi>x</mi><mo>*</mo></msup><mo>=</mo><mi>attack</mi><mo>(</mo>
<msub><mi>f</mi><mi>own</mi></msub><mo>,</mo><mi>x</mi><mo>)</mo><mspace width="2em"/>
<msub><mi>f</mi><mi>other</mi></msub><mo>(</mo><msup><mi>x</mi><mo>*</mo></msup><mo>)</mo><mo>≠</mo><mi>y</mi>
<mspace width="0.3em"/><mo>?</mo></math><p>The gradient is of the attacker’s own model; the other is only shown the
result.</p>"""
RULE = """<math display="block"><mi>g</mi><mo>←</mo><mi>γ</mi><mi>g</mi><mspace width="2em"/><msub><mi>g</mi>
<mrow><mi>n</mi><mo>,</mo><mi>c</mi></mrow></msub><mo>←</mo><mn>0</mn><mspace width="0.5em"/><mi>for</mi>
<mspace width="0.3em"/><mi>n</mi><mo>∈</mo><mo>{</mo><mi>arg max</mi><mo>,</mo><mi>arg min</mi><mo>}</mo><msub>
<mi>g</mi><mrow><mo>·</mo><mo>,</mo><mi>c</mi></mrow></msub></math><p>For each channel c: the token with the largest and
the one with the smallest gradient lose theirs (k = 1 on each side); γ is 0.25 for attention, 0.75 for QKV, 0.5 for
the MLP.</p>"""
CALM = """<math display="block"><mi>Var</mi><mo>(</mo><mi>γ</mi><mi>g</mi><mo>)</mo><mo>=</mo><msup><mi>γ</mi>
<mn>2</mn></msup><mi>Var</mi><mo>(</mo><mi>g</mi><mo>)</mo><mspace width="2em"/><mi>dispersion</mi><mo>=</mo><mfrac>
<mrow><mi>Var</mi><mo>(</mo><mi>g</mi><mo>)</mo></mrow><msup><mrow><mo>(</mo><mi>mean</mi><mo>|</mo><mi>g</mi><mo>|</mo>
<mo>)</mo></mrow><mn>2</mn></msup></mfrac></math><p>A factor γ cancels in the dispersion, not in the variance.</p>"""
GAIN = """<math display="block"><mi>gain</mi><mo>=</mo><munder><mi>mean</mi><mi>targets</mi></munder><mo>(</mo>
<msub><mi>ASR</mi><mi>TGR</mi></msub><mo>−</mo><msub><mi>ASR</mi><mi>MI-FGSM</mi></msub><mo>)</mo></math>
<p>ASR, the attack success rate: of the pictures that a target had right, the share that fools it. In brackets the
95 % interval over pictures drawn again and again.</p>"""


def _known(of: Result) -> list[Transfer]:
    """The other models that had the clean picture right."""
    right = of.name(of.clean.top)
    return [each for each in of.transfers if each.comparable and each.clean == right]


def _named(models: list[str]) -> str:
    brief = shorts({each: zoo.card(each).title for each in models})
    return ", ".join(escape(brief[each]) for each in models) or "none"


def _answers(given: list[Transfer]) -> str:
    said = [
        f"{_named([each.model])}: {escape(each.adversarial)} "
        f"({percent(each.adversarial_probability)})"
        for each in given
    ]
    return "; ".join(said)


def _own(of: Result) -> str:
    """What the attacked model says now."""
    return says(of, of.adversarial)


def _home(of: Result) -> Seen:
    known = _known(of)
    wrong = [each for each in known if each.changed]
    firm = min((each.adversarial_probability for each in known), default=0.0)
    said = (
        f"The attacked model says {_own(of)}. Of {len(known)} others that had the clean picture right, "
        f"<b>{len(wrong)}</b> are fooled. {_answers(known)}."
    )
    there = of.success and len(known) == len(OTHERS) and not wrong
    return Seen(said, len(wrong), (firm - 0.3) / 0.2 if there else 0.0)


def _apiece(of: Result) -> Seen:
    known = _known(of)
    wrong = [each for each in known if each.changed]
    own = of.name(of.adversarial.top)
    alike = sum(each.adversarial == own for each in wrong)
    answer = "none" if not wrong else "own" if 2 * alike < len(wrong) else "same"
    said = (
        f"The attacked model says {_own(of)}. {len(wrong)} of {len(known)} others are fooled, {alike} of them "
        f"into the same answer. {_answers(wrong)}."
    )
    there = of.success and answer == "own"
    return Seen(said, answer, min(len(wrong) - 1, len(wrong) / 2 - alike) if there else 0.0)


def _harder(of: Result) -> Seen:
    wrong = [each for each in _known(of) if each.changed]
    tenth, last = of.losses[9], of.losses[-1]
    answer = "none" if not wrong else "some" if len(wrong) < len(OTHERS) else "all"
    said = (
        f"At home the error (cross-entropy) rose from {of.losses[0]:.1f} to {tenth:.1f} after 9 steps and "
        f"{last:.1f} after {len(of.losses) - 1}. Others fooled: <b>{len(wrong)}</b> of {len(_known(of))}."
    )
    there = of.success and answer == "none"
    return Seen(said, answer, min(last - tenth, tenth - of.losses[0]) if there else 0.0)


def _effect(of: Comparison, measure: Measure, variant: Variant) -> Effect:
    return effects(of.rounds, measure)[variant]


def _ratio(of: Comparison, measure: Measure, variant: Variant) -> list[float]:
    """A measure of a variant's gradients divided by MI-FGSM’s: attention, QKV, MLP."""
    return _effect(of, measure, variant).ratio[-1].tolist()


def _times(ratio: list[float]) -> str:
    return " / ".join(f"×{each:.2g}" for each in ratio)


def _loud(of: Comparison) -> Seen:
    readings = [its[BY_VARIANT["both"]] for its in of.rounds]
    found = zeroed(readings, of.subject.victim.spec.blocks)[-1][MLP]
    assert found is not None, "the attacked model has an MLP"
    patches = found.shares[-1][found.prefix :]
    most, at = patches.topk(LOUDEST)
    times = float(most.mean() / patches.mean())
    said = (
        f"The five are silenced in {percent(float(most.min()))} to {percent(float(most.max()))} of the MLP’s "
        f"channels, {times:.1f} times as often as a patch on average. Before all of them comes the class "
        f"token, with {percent(float(found.shares[-1][0]))}."
    )
    return Seen(said, tuple(at.tolist()), (times - 2) / 2)


def _calm(of: Comparison) -> Seen:
    variance = _ratio(of, "variance", "gamma")
    factors, zeroing, both, random = (
        _ratio(of, "dispersion", each) for each in ("gamma", "zeroing", "both", "random")
    )
    calmest = {"gamma": factors, "zeroing": zeroing, "random": random}
    answer = min(calmest, key=lambda each: sum(calmest[each]))
    said = (
        f"Attention / QKV / MLP, beside MI-FGSM. Factors only: variance {_times(variance)}, but dispersion "
        f"{_times(factors)}. Zeroing only: dispersion {_times(zeroing)}. Random tokens, with factors: {_times(random)}. TGR, all of "
        f"it: {_times(both)}."
    )
    attention, qkv, mlp = both
    calmed = min((min(factors) - 1) / 0.2, (1 - max(zeroing)) / 0.2, (0.8 - max(variance)) / 0.2)
    differ = max(
        abs(math.log(own / of_factors)) for own, of_factors in zip(random, factors, strict=True)
    )
    parted = (math.log(SAME) - differ) / 0.05
    margin = min(calmed, parted, (1 - max(attention, mlp)) / 0.2, (qkv - 1) / 0.2)
    return Seen(said, answer, margin if answer == "zeroing" else 0.0)


def _one(of: Comparison) -> Seen:
    judged, counts = _counts(of)
    mifgsm, tgr, random = (counts[name] for name in ("baseline", "both", "random"))
    answer = "more" if tgr > mifgsm else "fewer" if tgr < mifgsm else "same"
    losses = [of.rounds[-1][BY_VARIANT[name]].loss for name in ("baseline", "both")]
    said = (
        f"Fooled, of {judged} others: MI-FGSM {mifgsm}, TGR {tgr}, TGR with random tokens {random}. At home "
        f"TGR’s error is smaller: {losses[1]:.1f} against {losses[0]:.1f}."
    )
    there = answer == "same" and random == mifgsm
    return Seen(said, answer, (losses[0] - losses[1]) / 0.5 if there else 0.0)


def _many(of: Comparison) -> Seen:
    known = study(of.subject.victim.spec.name)
    assert known is not None, "the study of the attacked model is shipped"
    own = known.findings.find(BUDGET, name="tgr", k=1)
    random = known.findings.find(BUDGET, name=RandomTokens.name)
    assert own is not None, "it has the published setting"
    assert random is not None, "it has the control"
    what = "that is more than nothing" if apart(own.gain) else "no gain at all is still possible"
    said = (
        f"Over {own.images} photographs TGR gains <b>{points(own.gain, 1)}</b> points at {BUDGET}/255: "
        f"{what}. With as many random tokens zeroed it gains {points(random.gain, 1)}."
    )
    margin = min((PAPER - own.gain.value) / 0.04, (random.gain.high - own.gain.value) / 0.02)
    return Seen(said, round(100 * own.gain.value, 1), margin)


def _counts(of: Comparison) -> tuple[int, Counter[str]]:
    """How many others had the clean picture right, and how many of them each variant fools."""
    judged, counts = fooled(of.answers, of.subject.victim.spec.name)
    return judged, Counter(dict(zip(VARIANTS, counts, strict=True)))


def _check(of: Comparison) -> Checked:
    if of.subject.victim.spec.name not in of.answers or len(of.answers) < 2:
        return Checked(False, "Show the results to other models, too, and let the run end.")
    judged, counts = _counts(of)
    mifgsm, tgr, random = (counts[name] for name in ("baseline", "both", "random"))
    said = f"Of {judged} others MI-FGSM fools {mifgsm}, TGR {tgr}, TGR with random tokens {random}"
    if tgr <= mifgsm:
        return Checked(False, f"{said}: TGR has not done more than MI-FGSM here.")
    if tgr <= random:
        return Checked(False, f"{said}: random tokens did as well as the extreme ones.")
    return Checked(
        True,
        f"{said}. Found. Now think how many runs you looked at before this one: whoever shows only this "
        "picture has chosen it <i>after</i> seeing the result.",
    )


LESSON = Lesson(
    name="travel",
    title="Why attacks travel",
    question="Can a model be fooled by a picture that was made against another one?",
    minutes=14,
    steps=(
        Step(
            title="A model that the attack never saw",
            text="<p>Until now the attack could ask the model itself for its [[gradient]] "
            "([[white box]]). Whoever attacks a model over the internet cannot: they make the picture on a "
            "model of their own, the [[source]], and hope that it [[transfer|travels]].</p><p>Here a ViT is "
            "attacked with 16 levels, twice what you need. Then four other models are shown the picture. All "
            "were trained on the same photographs.</p>",
            ask=Estimate("How many of the four others are fooled?", 0, 4, 1),
            setup=CHURCH,
            see=_home,
            point="#lab-verdict",
            look="Below the figures: what each of the other models says to the clean and to the attacked "
            "picture.",
            explain="<p>On its own model the attack wins easily; elsewhere it may do nothing at all. It went "
            "uphill on <i>one</i> model’s error, and has used what is special to that model. In machine "
            "learning this has a name: it has over-fitted, to its source.</p>",
            equation=BLACK_BOX,
            source=TGR,
        ),
        Step(
            title="Another fish",
            text="<p>Sometimes it does travel. Now the source is a PiT and the picture a tench. You know that "
            "PiT will be fooled.</p>",
            ask=Choose(
                "What will the other four say?",
                (
                    ("none", "All four still say tench"),
                    (
                        "same",
                        "Several are fooled, and say what PiT says: they see the same features",
                    ),
                    ("own", "Several are fooled, and most say something else than PiT"),
                ),
            ),
            setup={
                "model": "pit_imagenette",
                "source": "sample:tench",
                "knob-eps": BUDGET,
                "others": ["vit_imagenette", *OTHERS[1:]],
            },
            see=_apiece,
            point="#lab-verdict",
            look="Read what each model takes it for.",
            explain="<p>That a picture fools two models does not mean that it shows both the same thing. The "
            "borders of their classes lie close in similar directions; which class is behind the border is "
            "each model’s own affair.</p>",
            equation=BLACK_BOX,
            source=DONG,
        ),
        Step(
            title="Climb harder",
            text="<p>Back to the church, that fooled nobody but its source. Perhaps ten steps were too few? We "
            "take twenty of the same size, on the same ViT, with the same 16 levels.</p>",
            ask=Choose(
                "How many of the four others are fooled after twenty steps?",
                (("none", "None"), ("some", "One, two or three"), ("all", "All four")),
            ),
            setup=CHURCH | {"knob-steps": 20, "knob-step_size": 1.6},
            see=_harder,
            point="#lab-scrubber",
            look="The curve is the error on the source: it goes on rising.",
            explain="<p>Optimising the wrong thing longer does not help. The error that rises is the "
            "source’s. What travels must be found some other way: by making the gradient less typical of its "
            "source. That is what [[TGR]] is for.</p>",
            equation=BLACK_BOX,
            source=DONG,
        ),
        Step(
            title="Who shouts loudest",
            text="<p>In a Vision Transformer the gradient comes back through [[token|tokens]], one for each "
            "patch of the picture. A few of them have extreme values. [[TGR]] silences these: in each "
            "[[channel]] the token with the largest gradient and the one with the smallest get 0. The rest is "
            "multiplied by a [[gamma|factor γ]].</p><p>Five attacks run side by side on this page, from MI-FGSM "
            "to TGR.</p>",
            page="why",
            ask=Mark("Mark the five patches that TGR silences most often, in the MLPs.", LOUDEST),
            setup={"source": "sample:tench", "eps": BUDGET, "steps": 5},
            see=_loud,
            select={"variant": "both", "component": MLP},
            point="[data-component='2'] .why-map",
            look="The map over the picture: the brighter a patch, the more often its gradient was zeroed.",
            explain="<p>Were they on the fish? A gradient says where the model’s error is <i>sensitive</i>, not "
            "what is in the picture. The loudest of all is the class token, which is no patch: at the last "
            "block it alone has a gradient, so the rule takes all of that MLP’s.</p>",
            equation=RULE,
            source=TGR,
        ),
        Step(
            title="Smaller, or calmer?",
            text="<p>The paper’s idea: gradients with less [[variance]] travel better. But TGR does two things: "
            "the factors γ make every gradient smaller, and zeroing takes out the extremes. The page runs each "
            "alone, and as a control the factors with as many <i>random</i> tokens zeroed.</p><p>Half of a gradient has a "
            "quarter of its variance, and exactly its old shape. So we look at the [[dispersion]], which no "
            "factor can change.</p>",
            page="why",
            ask=Choose(
                "Which one makes the gradient more even, whatever its scale?",
                (
                    ("gamma", "The factors: they lower the variance"),
                    ("zeroing", "Zeroing the extreme tokens"),
                    ("random", "Both, with random tokens: fewer tokens, less variance"),
                ),
            ),
            setup={"source": "sample:tench", "eps": BUDGET, "steps": 5},
            see=_calm,
            select={"free": "dispersion"},
            point=".why-grid",
            look="Variance and dispersion, block by block, each beside MI-FGSM’s.",
            explain="<p>The factors lower the variance and leave the gradient <i>less</i> even: in its own "
            "block a factor changes no shape, but those of all later blocks weaken the paths through them "
            "against the skip connection. Zeroing the extremes does even it out; with random ones the factors’ effect stays as it is. All "
            "of TGR together calms attention and MLPs, and leaves QKV less even than it was.</p>",
            equation=CALM,
            source=f"{TGR}; dispersion and the random control are of this project",
        ),
        Step(
            title="And does it travel?",
            text="<p>Now the other half. The church once more, that fooled no other model: TGR with all its "
            "parts, beside MI-FGSM.</p>",
            page="why",
            ask=Choose(
                "Compared with MI-FGSM, TGR’s picture fools …",
                (
                    ("more", "more of the four others"),
                    ("same", "as many"),
                    ("fewer", "fewer"),
                ),
            ),
            setup={"source": "sample:church", "eps": BUDGET, "steps": 5},
            see=_one,
            point=".why-answers",
            look="A row for each attack, a column for each model.",
            explain="<p>TGR climbs less high at home: that is its price. On this picture it buys nothing. But "
            "one picture is one toss of a coin; that it shows no gain proves as little as a picture that shows "
            "one.</p>",
            equation=RULE,
            source=TGR,
        ),
        Step(
            title="Count, do not look",
            text="<p>So count over many. The paper reports +8.8 points on the best attack before it, for "
            "ViTs as targets. This project has attacked photographs that none of these models was trained "
            "on, from this ViT, and kept the result.</p><p>The run is the last one again; the answer is "
            "read from the kept study.</p>",
            page="why",
            ask=Estimate(
                "By how many points does TGR’s success rate exceed MI-FGSM’s here, at 16/255?",
                -10,
                20,
                0.5,
                "points",
            ),
            setup={"source": "sample:church", "eps": BUDGET, "steps": 5},
            see=_many,
            point="#why-study",
            look="Each dot is one setting with its 95 % interval; right of the line helps.",
            explain="<p>Calmer gradients in attention and MLPs, yes; a gain like the paper’s, no; and random tokens may gain as much. "
            "That does not refute the paper: it attacked large models trained on a million pictures, these are small "
            "ones that know ten classes. It does say that “less variance, therefore more transfer” is not shown "
            "<i>here</i>.</p>",
            equation=GAIN,
            source=f"{TGR}, abstract; the study is of this project (docs/results.md)",
        ),
    ),
    task=Task(
        text="<p>Now alone, on this page. <b>Find a run in which TGR fools more of the other models than "
        "MI-FGSM does, and more than TGR with random tokens.</b> Picture, source, budget and knobs are yours. "
        "Count your runs.</p>",
        check=_check,
        page="why",
        hints=(
            "Where MI-FGSM fools nobody, little is missing to nobody. Take a picture that already fools "
            "some.",
            "Ten steps, 16 levels; go through the golf balls.",
        ),
        setup={"source": "sample:church", "eps": BUDGET, "steps": 5},
        solution={"source": "sample:golf_ball", "eps": BUDGET, "steps": 10},
    ),
    paper=TGR,
)
