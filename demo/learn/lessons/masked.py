"""Lesson 2: a model that looks robust because its softmax leads the attack astray, and how to tell."""

from __future__ import annotations

from html import escape

from demo.kit.sections import shipped
from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Seen, Setup, Step, Task
from demo.learn.said import percent, says, true
from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.papers.aas.findings import Findings, Saturation
from engine.papers.aas.saturation import NAME as CONTROL
from engine.probe.gradients import GradientVariance
from engine.probe.scores import CANCELS, UNDERFLOWS, ScoreGaps
from engine.studio import Result
from engine.studio.result import Frame

JUDGED, FINE, AAS, BARE = "judged", "judged in float64", "judged with AAS", "bare"
"""What the Lab can craft an attack on."""
MODEL, BALL, C, MOST_LEVELS = "vit_imagenette", "golf_ball", 30.0, 4
PAPER = "<i>Adaptive Attention Scaling</i>, CVPR 2024"
ATHALYE = "Athalye, Carlini and Wagner, <i>Obfuscated Gradients Give a False Sense of Security</i>, ICML 2018"
LEAD = """<math display="block"><mi>Δ</mi><mo>=</mo><msub><mi>z</mi><mrow><mo>(</mo><mn>1</mn><mo>)</mo></mrow></msub>
<mo>−</mo><msub><mi>z</mi><mrow><mo>(</mo><mn>2</mn><mo>)</mo></mrow></msub><mspace width="1.5em"/>
<msub><mi>p</mi><mrow><mo>(</mo><mn>1</mn><mo>)</mo></mrow></msub><mo>≈</mo><mfrac><mn>1</mn><mrow><mn>1</mn><mo>+</mo>
<msup><mi>e</mi><mrow><mo>−</mo><mi>Δ</mi></mrow></msup></mrow></mfrac></math>
<p>In float32 the top share becomes exactly 1 from Δ ≥ 16.75 on, just above ln 2²⁴ = 16.6, for a number has 24 bits.
The second becomes exactly 0 from Δ ≥ 104 on: ln 2¹⁵⁰ = 103.97, half of the smallest number there is.</p>"""
SLOPE = """<math display="block"><mfrac><mrow><mo>∂</mo><msub><mi>p</mi><mi>i</mi></msub></mrow><mrow><mo>∂</mo>
<msub><mi>z</mi><mi>j</mi></msub></mrow></mfrac><mo>=</mo><msub><mi>p</mi><mi>i</mi></msub><mo>(</mo>
<msub><mi>δ</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>−</mo><msub><mi>p</mi><mi>j</mi></msub><mo>)</mo></math>
<p>The slope of a softmax. Where one share is nearly 1 and the others nearly 0, every slope is nearly 0: that row is
saturated. Only where shares are <i>exactly</i> 1 and 0 has rounding taken it away.</p>"""
TIMES = """<math display="block"><mi>softmax</mi><mo>(</mo><mi>c</mi><mfrac><mrow><mi>q</mi><msup><mi>k</mi>
<mi>⊤</mi></msup></mrow><msqrt><mi>d</mi></msqrt></mfrac><mo>)</mo><mspace width="2em"/><mi>c</mi><mo>=</mo>
<mn>30</mn><mspace width="2em"/><mi>c</mi><mo>·</mo><mfrac><mn>1</mn><mi>c</mi></mfrac><mo>=</mo><mn>1</mn></math>
<p>Multiplying all scores makes every lead c times as large. A factor of 1/c gives the model back as it was.</p>"""
LEARNED = """<math display="block"><mi>softmax</mi><mo>(</mo><msub><mi>s</mi><mi>l</mi></msub><mfrac><mrow><mi>q</mi>
<msup><mi>k</mi><mi>⊤</mi></msup></mrow><msqrt><mi>d</mi></msqrt></mfrac><mo>)</mo><mspace width="2em"/>
<mn>0</mn><mo>&lt;</mo><msub><mi>s</mi><mi>l</mi></msub><mo>≤</mo><mn>1</mn></math>
<p>A factor for each block l. They are found by ten steps uphill on how far the features of all blocks move.</p>"""
many, control = shipped("aas", Findings), shipped(CONTROL, Saturation)


def _at(eps: int, c: float = C, craft: str = JUDGED) -> Setup:
    """PGD of ten steps on the golf ball, the model's scores times c, crafted on what `craft` says."""
    asked: dict[str, object] = {"model": MODEL, "source": f"sample:{BALL}", "others": []}
    asked |= {"attack": "pgd", "knob-eps": eps, "knob-steps": 10, "craft_on": craft}
    return asked | ({"alter": [Saturated.name]} if c != 1 else {})


def _gaps(frame: Frame) -> ScoreGaps:
    found = frame.readings["gaps"]
    assert isinstance(found, ScoreGaps)
    return found


def _attacked(of: Result) -> str:
    return (
        f"Clean: {says(of, of.clean)}. Attacked with {of.distances.linf} levels: "
        f"{says(of, of.adversarial)}. Noise of that size: {says(of, of.noise)}."
    )


def _fate(of: Result) -> str:
    """Whether the answer falls, and how surely it stands where it does not."""
    return "falls" if of.success else "stands" if true(of, of.adversarial) > 0.6 else "barely"


def _standing(of: Result) -> float:
    """By how much it stands, noise of the same size included; 0 and less where it does not."""
    there = not of.success and of.noise.top == of.label
    return (true(of, of.adversarial) - 0.6) / 0.2 if there else 0.0


def _falling(of: Result) -> float:
    """By how much the attack, and not noise, takes the answer away; 0 and less where it does not."""
    there = of.success and of.noise.top == of.label
    return (0.5 - true(of, of.adversarial)) / 0.2 if there else 0.0


def _leads(of: Result) -> Seen:
    gaps = _gaps(of.clean)
    most = float(gaps.quantiles[:, 4].max())
    known = many(MODEL)
    others = (
        f" On {known.about.pictures} photographs the largest is "
        f"{max(each.largest for each in known.blocks):.1f}."
        if isinstance(known, Findings)
        else ""
    )
    said = (
        f"The largest lead is {most:.1f}; {percent(float(gaps.cancels.mean()))} of the rows reach "
        f"{CANCELS}.{others} And one level is enough: {says(of, of.adversarial)}."
    )
    return Seen(said, round(most, 1), min((CANCELS - most) / 6, _falling(of)))


def _stands(of: Result) -> Seen:
    return Seen(_attacked(of), _fate(of), _standing(of))


def _zero(of: Result) -> Seen:
    found, gaps = of.clean.readings["gradients"], _gaps(of.clean)
    assert isinstance(found, GradientVariance)
    scores = found.variance[:, 0]
    zero, rounds = int((scores == 0).sum()), float(gaps.cancels.mean())
    answer = "none" if zero == 0 else "all" if zero == len(scores) else "some"
    said = (
        f"Exactly zero in {zero} of {len(scores)} blocks. {percent(rounds)} of the rows lead by {CANCELS} or "
        f"more, the farthest by {float(gaps.quantiles[:, 4].max()):.0f}; "
        f"{percent(float(gaps.underflows.mean()))} reach {UNDERFLOWS:.0f}. From the last block down to the "
        f"first the gradient’s variance grows by 10<sup>{float((scores[0] / scores[-1]).log10()):.0f}</sup>."
    )
    return Seen(said, answer, (rounds - 0.05) / 0.1 if answer == "none" else 0.0)


def _undone(of: Result) -> Seen:
    known = control(MODEL)
    said = _attacked(of)
    if isinstance(known, Saturation):
        own, right = (known.at(C, 1 / 255, name) for name in ("base", "undone"))
        if own and right:
            said += (
                f" On {own.pictures} photographs at 1/255 its own gradient leaves {own.left.value:.0f} % right, "
                f"that of the model without c {right.left.value:.0f} %."
            )
    return Seen(said, _fate(of), _falling(of))


def _learned(of: Result) -> Seen:
    said = " ".join((_attacked(of), *(escape(each) for each in of.told)))
    return Seen(said, _fate(of), _falling(of))


def _weaker(of: Result) -> Seen:
    known = many(MODEL)
    base, aas = (
        (known.attack("base"), known.attack("aas")) if isinstance(known, Findings) else (None, None)
    )
    if base is None or aas is None or not isinstance(known, Findings):
        return Seen(
            f"{_attacked(of)} The study of many pictures is not there to compare.", "same", 0.0
        )
    more = aas.left.value - base.left.value
    answer = "more" if more > 2 else "fewer" if more < -2 else "same"
    said = (
        f"This picture: {says(of, of.adversarial)}. On {known.about.pictures} photographs at "
        f"{255 * known.about.eps:g}/255, with equally many gradients, PGD leaves {base.left.value:.0f} % right "
        f"and AAS {aas.left.value:.0f} %: {more:+.0f} points [{-aas.gain.high:+.0f}, {-aas.gain.low:+.0f}]."
    )
    return Seen(said.replace("-", "−"), answer, (more - 2) / 10)


def _check(of: Result) -> Checked:
    asked, size = of.request, of.distances.linf
    stood = asked.alter
    if asked.model != MODEL or len(stood) != 1 or not isinstance(stood[0], Saturated):
        return Checked(False, "Take the ViT, altered by Saturated attention and by nothing else.")
    if stood[0].c < C or asked.name != BALL:
        return Checked(False, f"Take the golf ball, and scores times {C:g} or more.")
    if not any(isinstance(each, Saturated) for each in asked.crafted_on):
        return Checked(
            False, "That attack was given the model without c. Nobody will give you that."
        )
    now = f"Crafted on what you chose, with {size} levels: {says(of, of.adversarial)}"
    if not of.success:
        return Checked(False, f"{now}. It stands; does this gradient lead anywhere?")
    if of.noise.top != of.label:
        return Checked(False, f"{now}. But noise of that size fools it, too.")
    if size > MOST_LEVELS:
        return Checked(False, f"{now}. It can be done with {MOST_LEVELS} levels.")
    one = [
        each for each in asked.crafted_on if isinstance(each, Scaled) and each.factors == "uniform"
    ]
    if not one:
        return Checked(False, f"{now}. Now do it with one factor for all blocks, of your own.")
    return Checked(
        True,
        f"{now}; to noise {says(of, of.noise)}. One factor of {one[0].factor:g} was enough: the model "
        "never was robust.",
    )


FATES = (
    ("falls", "It gives another answer"),
    ("barely", "It stays right, but only just"),
    ("stands", "It stays right, and sure"),
)
LESSON = Lesson(
    name="masked",
    title="When the softmax hides the gradient",
    question="An attack finds nothing. Is it the model, or the ruler?",
    minutes=14,
    steps=(
        Step(
            title="How far ahead?",
            text="<p>Attention compares each [[token]] with all others. Every comparison gives a [[score]]; "
            "[[softmax]] turns a row of them into shares. If one score leads by far, its share is 1 and the others "
            "are 0, and moving a score a little changes nothing: there is no slope to climb.</p><p>A computer "
            "rounds, too. In [[float32]] that share becomes <i>exactly</i> 1 once the lead reaches 16.75.</p>",
            ask=Estimate(
                "What is the largest [[lead]] anywhere in this model, on the golf ball?",
                0,
                120,
                0.5,
            ),
            setup=_at(1, 1),
            see=_leads,
            tab="Gradients",
            point="#lab-gradients .lab-overview",
            look="The lower chart: the lead in each block, from least to most of its rows.",
            explain="<p>Not even close. On <i>this</i> model the softmax hides nothing, and the attack, with one "
            "level, has no trouble. So to see what hiding looks like we need a model that does hide.</p>",
            equation=LEAD,
            source=f"{PAPER}; the limits were measured here on rows of two scores",
        ),
        Step(
            title="A model that stands",
            text="<p>So we make one. Same weights; only every score is multiplied by 30 before its softmax. "
            "Leads are 30 times as large. On the clean ball it is still right.</p><p>One level fooled the model a "
            "moment ago. Now the attack gets four.</p>",
            ask=Choose("What does the multiplied model say?", FATES),
            setup=_at(4),
            see=_stands,
            point="#lab-headline",
            look="Four levels, ten steps, not fooled. In many a table this would be printed as “robust”.",
            explain="<p>Nobody trained it, nobody defended it: we multiplied by 30. Has it become robust, or has "
            "the attack lost its way? Keep both in mind. It is <b>the model or the ruler</b>.</p>",
            equation=TIMES,
            source=ATHALYE,
        ),
        Step(
            title="Is the gradient gone?",
            text="<p>The first suspicion: with leads like these the [[gradient]] through attention is zero, so the "
            "attack stands still. The same run tells.</p>",
            ask=Choose(
                "In how many of the eight blocks is the gradient of the scores exactly zero?",
                (
                    ("all", "In all: that is why it stands"),
                    ("some", "In some"),
                    ("none", "In none"),
                ),
            ),
            setup=_at(4),
            see=_zero,
            tab="Gradients",
            point="#lab-gradients .lab-overview",
            look="The chart of the gradient, block by block: has the line a gap? Then the leads below it.",
            explain="<p>It is there, and on its way down through the blocks it even grows enormously. It is the "
            "slope at this very point, and a step further on it is another one. <b>A [[masked gradient]] need not "
            "be zero</b>: it is enough that it leads nowhere. And a gradient of zero would not mean “robust” "
            "either, only “no directions given”.</p>",
            equation=SLOPE,
            source=f"{ATHALYE}, on shattered and vanishing gradients",
        ),
        Step(
            title="Is it rounding?",
            text="<p>The second suspicion: the computer. A good part of the rows is beyond 16.75, where [[float32]] "
            "rounds. So we compute the attack in [[float64]], which has more than twice the digits and rounds such "
            "a share only at a lead of 37. Everything else stays.</p>",
            ask=Choose("What does the exact attack achieve?", FATES),
            setup=_at(4, craft=FINE),
            see=_stands,
            point="#lab-bars",
            look="The orange bar of golf ball: the exact gradient does no better.",
            explain="<p>This control tells two things apart. Had the attack succeeded now, <b>underflow</b> would "
            "have been to blame: a fault of the arithmetic. It did not, so the true slope itself is of no use: "
            "<b>[[saturation]]</b>. More digits do not help; another gradient might.</p>",
            equation=SLOPE,
            source="The float64 control is ours; the paper does not have it",
        ),
        Step(
            title="Where we know the answer",
            text="<p>Usually one cannot know. Here one can: we built this model, and the model without the 30 has "
            "the same weights. So: take the gradient from <i>that</i> one, and show the picture to the "
            "multiplied model, which is judged.</p>",
            ask=Choose("What does the multiplied model say to a picture made so?", FATES),
            setup=_at(4, craft=BARE),
            see=_undone,
            point="#lab-headline",
            look="Same model, same budget, same number of steps. Only the directions came from elsewhere.",
            explain="<p>It was <b>the ruler</b>. The weakness had been there all the time; the attack could not see "
            "it. This is what a positive control is for: a case whose right answer is known, on which a method of "
            "measuring must prove itself.</p>",
            equation=TIMES,
            source=f"{ATHALYE}; the multiplied model is a control of this project",
        ),
        Step(
            title="Nobody tells you c",
            text="<p>An attacker does not know how a model was saturated. [[AAS]] looks for a factor for each block "
            "by itself, ten steps, attacks the model with these factors, and shows the picture to the model "
            "<i>without</i> them.</p>",
            ask=Choose("What does the multiplied model say now?", FATES),
            setup=_at(4, craft=AAS),
            see=_learned,
            point="#lab-headline",
            look="Fooled, and nobody gave away the 30.",
            explain="<p>The factors are not 1/30, they need not be: what counts is that the gradient points "
            "somewhere again. Such an attack is [[adaptive attack|adaptive]]: made for what it attacks. A defence "
            "that was only tried with an attack that cannot see is untested. Not every picture falls this way; "
            "the room <i>Why, masked gradients</i> has the curve.</p>",
            equation=LEARNED,
            source=f"{PAPER}, algorithm 1; the choices it leaves open are ours",
        ),
        Step(
            title="And the model as it is?",
            text="<p>So AAS is the better attack? Back to the model as it was, with its small leads: the paper says "
            "that scaling makes attacks on ordinary ViTs stronger by some points.</p>",
            ask=Choose(
                "On many photographs: how many answers does AAS leave right, compared with plain PGD?",
                (
                    ("fewer", "Fewer: AAS is stronger here, too"),
                    ("same", "As many"),
                    ("more", "More: AAS is weaker here"),
                ),
            ),
            setup=_at(1, 1, AAS),
            see=_weaker,
            point="#lab-verdict",
            look="One picture decides nothing; the study of many is in the sentence.",
            explain="<p>Where nothing is hidden there is nothing to undo, and factors only make it another model, "
            "whose weak spots are not quite this one’s. The paper’s effect <b>does not appear on this model</b>. "
            "That does not refute it: its models had leads in the hundreds. First measure the leads; then "
            "choose the ruler.</p>",
            equation=LEARNED,
            source=f"{PAPER}, table 3 and figure 2",
        ),
    ),
    task=Task(
        text="<p>Now alone, in the Lab. The golf ball, scores times 30, four levels, and no help: the attack may not "
        "see the model without c. <b>Make the saturated model fall with an attack whose gradient is honest: find "
        "one factor for all blocks that does it.</b> Noise of that size must not.</p>",
        check=_check,
        hints=(
            "“Craft on”, under More: what is judged, with its attention scaled (AAS). Its knobs are below.",
            "Set the factors to “uniform” and choose the one factor. Which one would undo a 30?",
            "Near 1/30 = 0.033; 0.1 is near enough.",
        ),
        setup=_at(4),
        solution={
            **_at(4, craft=AAS),
            "alter-scaled-factors": "uniform",
            "alter-scaled-factor": 0.1,
        },
    ),
    paper=f"{PAPER}; {ATHALYE}",
)
