"""Lesson 5: Robustness Tokens, and why nothing can be said of a defence before saying who attacks."""

from __future__ import annotations

from demo.kit.sections import shipped
from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Mark, Seen, Step, Task
from demo.learn.said import MADRY, says
from engine.alter.stack import altered
from engine.alter.tokens import RobustnessTokens
from engine.evaluate.feature import Featured, featured
from engine.model import zoo
from engine.model.tokenfile import OWN, RANDOM, SURROGATE
from engine.model.victim import Victim
from engine.papers.robustness_tokens import threat as threats
from engine.papers.robustness_tokens.compare import Outcome, Report
from engine.papers.robustness_tokens.findings import Attacker, Findings, Model
from engine.papers.robustness_tokens.threat import Threat
from engine.probe import depth
from engine.studio import Result
from engine.studio.result import Frame

MODEL, TRAINED, LARGER = "vit_imagenette", "vit_imagenette_pgd_at", "vit_tiny_patch16_224"
PICTURE, TASK_PICTURE = "parachute", "golf_ball"
TASK_COSINE, TASK_LEVELS = 0.4, 2
MARKED = 5
COSINE = "feature cosine"
STUDIED = ((MODEL, "this ViT"), (LARGER, "ViT-Tiny, an ImageNet model"))
study = shipped("robustness_tokens", Findings)

PULFER = (
    "Pulfer, Belousov and Voloshynovskiy, <i>Robustness Tokens: Towards Adversarial Robustness of "
    "Transformers</i>, ECCV 2024"
)
TRAMER = "Tramèr et al., <i>On Adaptive Attacks to Adversarial Example Defenses</i>, NeurIPS 2020"
MOVED = """<math display="block"><munder><mi>min</mi><mrow><msub><mrow><mo>‖</mo><mi>δ</mi><mo>‖</mo></mrow>
<mi>∞</mi></msub><mo>≤</mo><mi>ε</mi></mrow></munder><mspace width="0.3em"/><mrow><mi>cos</mi><mo>(</mo><mi>f</mi><mo>(</mo>
<mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo><mo>,</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>)</mo></mrow></math>
<p>f is the feature, x the picture, δ the change. Nothing in it knows a class.</p>"""
TOKENS = """<math display="block"><mi>x</mi><mo>↦</mo><mi>f</mi><mo>(</mo><mo>[</mo><msub><mi>r</mi><mn>1</mn></msub>
<mo>,</mo><mo>…</mo><mo>,</mo><msub><mi>r</mi><mn>10</mn></msub><mo>,</mo><mi>x</mi><mo>]</mo><mo>)</mo></math>
<math display="block"><munder><mi>max</mi><mi>r</mi></munder><mspace width="0.3em"/><mrow><mi>cos</mi><mo>(</mo><mi>f</mi>
<mo>(</mo><mo>[</mo><mi>r</mi><mo>,</mo><mi>x</mi><mo>]</mo><mo>)</mo><mo>,</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo>
<mo>)</mo></mrow></math><math display="block"><mo>+</mo><mi>cos</mi><mo>(</mo><mi>f</mi><mo>(</mo><mo>[</mo><mi>r</mi><mo>,</mo><msub><mi>x</mi>
<mtext>adv</mtext></msub><mo>]</mo><mo>)</mo><mo>,</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>)</mo></math>
<p>r are the tokens, all that is learned. The first term keeps clean pictures where they were, the second brings
attacked ones back; x<sub>adv</sub> is made on the model without tokens.</p>"""
ADAPTIVE = """<math display="block"><mtext>transfer:</mtext><mspace width="0.5em"/><munder><mi>min</mi><mi>δ</mi></munder>
<mspace width="0.2em"/><mrow><mi>cos</mi><mo>(</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo><mo>,</mo><mo>·</mo>
<mo>)</mo></mrow></math>
<math display="block"><mtext>adaptive:</mtext><mspace width="0.5em"/><munder><mi>min</mi><mi>δ</mi></munder>
<mspace width="0.2em"/><mrow><mi>cos</mi><mo>(</mo><mi>f</mi><mo>(</mo><mo>[</mo><mi>r</mi><mo>,</mo><mi>x</mi><mo>+</mo><mi>δ</mi>
<mo>]</mo><mo>)</mo><mo>,</mo><mo>·</mo><mo>)</mo></mrow></math><p>Both pictures are judged on f([r, ·]). Only the second
attacker has r, and its gradient.</p>"""
WRONG = """<math display="block"><munder><mi>max</mi><mrow><msub><mrow><mo>‖</mo><mi>δ</mi><mo>‖</mo></mrow><mi>∞</mi></msub>
<mo>≤</mo><mi>ε</mi></mrow></munder><mspace width="0.3em"/><mrow><mi>L</mi><mo>(</mo><mi>h</mi><mo>(</mo><mi>f</mi><mo>(</mo>
<mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo><mo>)</mo><mo>,</mo><mi>y</mi><mo>)</mo></mrow></math><p>h is the head that turns the
feature into classes: it needs only a small turn of f, if it is the right one.</p>"""
ROBUST = """<math display="block"><munder><mi>min</mi><mi>θ</mi></munder><mspace width="0.3em"/><mrow><mi>E</mi><munder><mi>max</mi>
<mrow><msub><mrow><mo>‖</mo><mi>δ</mi><mo>‖</mo></mrow><mi>∞</mi></msub><mo>≤</mo><mi>ε</mi></mrow></munder>
<mspace width="0.3em"/><mi>L</mi><mo>(</mo><msub><mi>f</mi><mi>θ</mi></msub><mo>(</mo><mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo>
<mo>,</mo><mi>y</mi><mo>)</mo></mrow></math><p>All weights θ are trained on pictures that were attacked with the weights of that
moment: the attacker knows everything.</p>"""


def _bare(of: Result, frame: Frame) -> Featured:
    """A frame's picture in the model without tokens."""
    return featured(zoo.load(of.request.model, of.request.weights), frame.pixels[None])


def _bare_cosine(of: Result) -> float:
    """How much of the feature the attacked picture leaves in the model without tokens."""
    return float(_bare(of, of.adversarial).near(_bare(of, of.clean)))


def _cosine(frame: Frame) -> float:
    """How much of the feature is left: with the judged model's own of the clean picture."""
    return frame.figures[COSINE]


def _feature(of: Result) -> Seen:
    left, noise = _cosine(of.adversarial), _cosine(of.noise)
    said = (
        f"The cosine falls to <b>{left:.2f}</b>; noise of the same {of.distances.linf} levels leaves "
        f"{noise:.2f}. The answer: {says(of, of.adversarial)}, before {says(of, of.clean)}."
    )
    return Seen(said, round(max(left, 0.0), 2), min((0.6 - left) / 0.1, (noise - 0.95) / 0.02))


def _turned(of: Result) -> Seen:
    found = depth.PROBE.of(of.adversarial.readings)
    assert found is not None
    shape = of.spec.blocks[-1]
    turned = found.tokens[-1][shape.prefix : shape.prefix + shape.grid[0] * shape.grid[1]]
    least = turned.argsort(stable=True)[:MARKED]
    mean, low = float(turned.mean()), float(turned[least].mean())
    places = ", ".join(
        f"row {i // shape.grid[1] + 1} column {i % shape.grid[1] + 1}" for i in least.tolist()
    )
    said = (
        f"After the last block the {MARKED} that turn least are {places}: a cosine of <b>{1 - low:.2f}</b> is left "
        f"there, and {1 - mean:.2f} over all patches."
    )
    return Seen(said, tuple(least.tolist()), mean / max(low, 0.01) - 3)


def _untouched(of: Result) -> Seen:
    private = featured(_armed(of), of.clean.pixels[None])
    public = _bare(of, of.clean)
    kept = float(private.near(public))
    same = int(private.answers) == int(public.answers)
    said = (
        f"On the untouched picture the cosine to the feature without tokens is <b>{kept:.2f}</b>, and the answer "
        f"is {'the same' if same else 'another one'}."
    )
    known = study(of.request.model)
    if isinstance(known, Findings):
        clean = known.untouched("private")
        low, high = -clean.cost.high, -clean.cost.low
        said += (
            f" Over {known.about.pictures} photographs: {clean.kept.value:.2f}, and accuracy changed by "
            f"{-clean.cost.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})."
        )
    return Seen(said, round(kept, 2), (kept - 0.75) / 0.1 if same else 0.0)


def _armed(of: Result) -> Victim:
    """The judged model of a run."""
    return altered(zoo.load(of.request.model, of.request.weights), of.request.alter)


def _withheld(of: Result) -> Seen:
    bare, armed = _bare_cosine(of), _cosine(of.adversarial)
    said = f"The very same picture leaves <b>{bare:.2f}</b> without tokens and <b>{armed:.2f}</b> with them."
    known = study(of.request.model)
    if isinstance(known, Findings):
        plain, private = (
            known.under("public", "transfer"),
            known.under("private", "transfer"),
        )
        if plain and private and plain.own and private.own:
            said += (
                f" Over {known.about.pictures} photographs and {known.about.steps} steps: "
                f"{plain.own.value:.2f} and {private.own.value:.2f}."
            )
    return Seen(said, round(max(armed, 0.0), 2), (armed - bare - 0.1) / 0.1)


def _random(of: Result) -> Seen:
    bare, armed = _bare_cosine(of), _cosine(of.adversarial)
    gain = armed - bare
    answer = "nothing" if gain < 0.1 else "half" if gain < 0.25 else "all"
    said = f"Without tokens the picture leaves {bare:.2f}, with ten random ones <b>{armed:.2f}</b>."
    return Seen(said, answer, (0.1 - gain) / 0.05)


def _outcome(of: Report, threat: Threat) -> Outcome:
    return next(each for each in of.outcomes if each.threat is threat)


def _known(of: Report) -> Seen:
    transfer, adaptive = (_outcome(of, each) for each in (threats.TRANSFER, threats.ADAPTIVE))
    bare, secret, known = (
        transfer.feature.public.kept,
        transfer.feature.private.kept,
        adaptive.feature.private.kept,
    )
    share = (known - bare) / max(secret - bare, 1e-6)
    answer = "same" if share > 0.97 else "some" if share > 0.15 else "none"
    said = (
        f"On this picture: {bare:.2f} without tokens, {secret:.2f} while nobody knows them, <b>{known:.2f}</b> "
        f"against an attacker who does."
    )
    for name, title in STUDIED:
        told = _kept(name, ("public", "transfer"), ("private", "transfer"), ("private", "adaptive"))
        said += f" In the study of {title}: {told}." * bool(told)
    return Seen(said, answer, (secret - known) / 0.04 if answer == "some" else 0.0)


def _kept(name: str, *asked: tuple[Model, Attacker]) -> str:
    """The cosines that the study of a model has of models under attackers; "" where one is not known."""
    known = study(name)
    met = [known.under(*each) for each in asked] if isinstance(known, Findings) else []
    told = [f"{each.kept.value:.2f}" for each in met if each and each.kept]
    return ", ".join(told) if len(told) == len(asked) else ""


def _surrogate(of: Report) -> Seen:
    transfer, rival, adaptive = (
        _outcome(of, each).feature.private.kept
        for each in (threats.TRANSFER, threats.SURROGATE, threats.ADAPTIVE)
    )
    answer = "public" if abs(rival - transfer) <= abs(rival - adaptive) else "known"
    said = (
        f"What is left of the feature: {transfer:.2f} against the public model’s attacker, <b>{rival:.2f}</b> "
        f"against one with tokens of their own, {adaptive:.2f} against one with the very tokens."
    )
    for name, title in STUDIED:
        told = _kept(
            name, ("private", "transfer"), ("private", "surrogate"), ("private", "adaptive")
        )
        said += f" In the study of {title}: {told}." * bool(told)
    return Seen(said, answer, (rival - adaptive) / 0.03)


def _fooled(of: Result) -> Seen:
    public = _bare(of, of.adversarial)
    without = int(public.answers) != of.label
    answer = "falls" if of.success else "kept"
    said = (
        f"Made on the model without tokens, shown to the one with them: {says(of, of.adversarial)}; clean it was "
        f"{says(of, of.clean)}, and noise leaves {says(of, of.noise)}. Without tokens it is "
        f"{'wrong, too' if without else 'right'}."
    )
    found = study(of.request.model)
    if isinstance(found, Findings):
        met = found.under("private", "transfer")
        if met and met.stands:
            said += (
                f" In the study of {found.about.pictures} photographs {met.stands.value:.0f} % of answers are "
                f"right under PGD like this, at most {met.stands.high:.0f} % by its interval."
            )
    left = float(of.adversarial.probabilities[of.label])
    there = of.success and of.noise.top == of.label
    return Seen(said, answer, (0.5 - left) / 0.2 if there else 0.0)


def _trained(of: Result) -> Seen:
    left = float(of.adversarial.probabilities[of.label])
    plain = zoo.card(MODEL, of.request.weights).measured["val_accuracy"]
    own = of.card.measured["val_accuracy"]
    answer = "falls" if of.success else "holds"
    said = (
        f"Under an attack with all its weights known: {says(of, of.adversarial)}, clean {says(of, of.clean)}. Its "
        f"price: {100 * own:.0f} % right on untouched photographs, where the plain ViT has {100 * plain:.0f} %."
    )
    return Seen(said, answer, (left - 0.5) / 0.2 if not of.success and own < plain else 0.0)


def _check(of: Result) -> Checked:
    asked, size = of.request, of.distances.linf
    if asked.model != MODEL or asked.alter != (RobustnessTokens(file=OWN),):
        return Checked(
            False, "Judge the bundled ViT with its own Robustness Tokens, and nothing else."
        )
    if asked.name != TASK_PICTURE:
        return Checked(False, "Take the golf ball.")
    if COSINE not in of.adversarial.figures:
        return Checked(False, "This attack does not aim at the feature. Take Feature PGD.")
    left = _cosine(of.adversarial)
    told = f"A cosine of {left:.2f} is left with {size} levels. Threat model: {_threat(of)}."
    if size > TASK_LEVELS:
        return Checked(False, f"{told} That is more than {TASK_LEVELS} levels.")
    if left > TASK_COSINE:
        return Checked(False, f"{told} At most {TASK_COSINE} is wanted.")
    return Checked(True, f"{told} A defender who tests with less would not have seen this number.")


def _threat(of: Result) -> str:
    """What the attacker of a run knew."""
    stack = of.request.crafted_on
    if stack == of.request.alter:
        return "the attacker has the very tokens (adaptive)"
    if stack == ():
        return "the attacker has the public model only (transfer)"
    if stack == (RobustnessTokens(file=SURROGATE),):
        return "the attacker has trained other tokens (surrogate)"
    return "the attacker works on another variant of the model"


FEATURE = {
    "source": f"sample:{PICTURE}",
    "model": MODEL,
    "attack": "feature",
    "craft_on": "judged",
    "knob-eps": 2,
    "knob-steps": 10,
    "others": [],
}
ARMED = FEATURE | {"alter": ["tokens"], "craft_on": "bare"}
BOARD = {"source": f"sample:{PICTURE}", "model": MODEL, "eps": 2, "steps": 10}
THREATS = "#armour-board .rob-threats"
PGD = {
    "source": f"sample:{PICTURE}",
    "model": MODEL,
    "attack": "pgd",
    "craft_on": "judged",
    "knob-eps": 2,
    "knob-steps": 10,
    "others": [],
}
ALONE = ARMED | {"source": f"sample:{TASK_PICTURE}"}

LESSON = Lesson(
    name="armour",
    title="Ten tokens of armour",
    question="A defence works. Against whom?",
    minutes=15,
    steps=(
        Step(
            title="An attack without an answer",
            text="<p>Many people download one public model and put a head of their own on it. What they all share "
            "is its [[feature]]: the vectors of all tokens after the last block. [[Feature PGD]] turns "
            "that feature away and needs no class for it. How far, the [[cosine]] says: 1 is the same "
            "direction, 0 is unrelated.</p><p>The budget is two levels, 2/255.</p>",
            ask=Estimate(
                "What cosine to the clean feature will be left after ten steps?", 0, 1, 0.05
            ),
            setup=FEATURE,
            see=_feature,
            tab="Depth",
            point="#lab-depth",
            look="The curve says how far clean and attacked have parted after each block. Grey is noise of the same "
            "size. Then look at the answer.",
            explain="<p>Noise does next to nothing, and the attack turns the feature away. Whether the answer "
            "falls as well is another matter: the head looks at a few directions of it, and this attack does not "
            "know which.</p><p>Remember that: “feature moved” and “answer wrong” are two things.</p>",
            equation=MOVED,
            source=f"{PULFER}, on attacks in feature space",
        ),
        Step(
            title="What stays where it was?",
            text="<p>The same run. Every [[patch]] is a token with a feature of its own, and not all of them turn "
            "alike.</p>",
            ask=Mark(
                f"Mark the {MARKED} patches whose tokens you think turn <b>least</b>.", MARKED
            ),
            setup=FEATURE,
            see=_turned,
            select={"block": 7},
            tab="Depth",
            point="#lab-depth",
            look="The left map shows how far each token has turned in the last block: where is it darkest?",
            explain="<p>The tokens of the canopy hardly turn; the clouds turn most. The attack wants the mean cosine "
            "down and takes what is easy: there are many clouds, and little in them for a token to hold on to. "
            "So the answer could stay, while most of the feature is gone.</p><p>Do not count on it: an attack on the "
            "answer will go for just these tokens.</p>",
            equation=MOVED,
            source=f"{PULFER}, on attacks in feature space",
        ),
        Step(
            title="Ten more tokens",
            text="<p>[[Robustness Tokens]] leave all weights alone. Ten learned vectors join the sequence: they are "
            "read by attention like the patches, and thrown away at the end. They were trained so that clean features "
            "stay and attacked ones come back. 10 × 192 numbers, of 3.8 million, and they are kept "
            "<b>secret</b>.</p><p>First the price. Nothing is attacked here: the budget is 0.</p>",
            ask=Estimate(
                "On the untouched picture: cosine between the features with and without the tokens?",
                0,
                1,
                0.05,
            ),
            setup=ARMED | {"knob-eps": 0, "knob-steps": 1},
            see=_untouched,
            point="#lab-bars",
            look="Blue bars: what the model with tokens answers. Has anything been lost?",
            explain="<p>The feature moves a little, even on clean pictures: the head gets to see something slightly "
            "else than what it was trained on. That is the price of this defence, and it is small.</p>",
            equation=TOKENS,
            source=f"{PULFER}, on the method",
        ),
        Step(
            title="The armour holds",
            text="<p>Now the attack, as the paper tested it: the attacker has the <b>public</b> model and makes the "
            "picture there; it is judged on the model with tokens. Such a list of what an attacker has is called "
            "a [[threat model]].</p>",
            ask=Estimate(
                "In step 1 you saw what is left without tokens. What cosine is left with them?",
                0,
                1,
                0.05,
            ),
            setup=ARMED,
            see=_withheld,
            point="#lab-headline",
            look="The headline gives the cosine. Go through the steps with the scrubber.",
            explain="<p>Ten vectors bring back a good part of the feature, and no weight was changed. This "
            "is the paper’s finding, and it is there on our small model, too, smaller than in the paper.</p><p>Would "
            "you put that into a product? Three more questions first.</p>",
            equation=TOKENS,
            source=f"{PULFER}, on feature-space attacks and the main table",
        ),
        Step(
            title="Is it only that they are ten?",
            text="<p>A [[control]]: ten <i>random</i> tokens, with which training would have begun. If those help as "
            "much, then nothing was learned.</p>",
            ask=Choose(
                "How much of the armour’s effect will they have?",
                (
                    ("all", "About as much: attention is diluted"),
                    ("half", "About half"),
                    ("nothing", "Next to nothing"),
                ),
            ),
            setup=ARMED | {"alter-tokens-file": RANDOM},
            see=_random,
            point="#lab-headline",
            look="Compare the cosine with the one without tokens.",
            explain="<p>So it is what they have learned, not that they are there. Without such a control you could "
            "not know.</p>",
            equation=TOKENS,
            source=f"{PULFER}; the control is ours",
        ),
        Step(
            title="The attacker has the tokens",
            text="<p>The page <b>Defend</b> puts four attackers side by side, who know more and more. The "
            "[[adaptive attack|adaptive]] one has the tokens, too: stolen, leaked, or handed over by somebody on the "
            "inside.</p><p>Here the cosine is taken to the clean feature <i>without</i> tokens, which is what "
            "the head knows.</p>",
            page="defend-tokens",
            ask=Choose(
                "What is left of the tokens’ gain?",
                (
                    ("same", "All of it: the tokens have made the feature stable"),
                    ("some", "A part of it"),
                    ("none", "Nothing: it was all secrecy"),
                ),
            ),
            setup=BOARD,
            see=_known,
            select={"threat": "adaptive", "goal": "feature"},
            point=THREATS,
            look="Two bars a picture: without tokens and with them. Compare “Transfer” and “Adaptive”, with tokens.",
            explain="<p>Who knows the tokens gets more out of the same two levels. How much of a defence is secrecy "
            "differs from model to model: compare both studies above.</p><p>The paper measured the first attacker only. A defence that was "
            "tested only with an attack that does not know of it has not been tested.</p>",
            equation=ADAPTIVE,
            source=f"{TRAMER}; {PULFER}, limitations",
        ),
        Step(
            title="Tokens of their own",
            text="<p>An attacker between the two: without our tokens, but with the recipe, which is published. "
            "They have trained ten tokens themselves (a [[surrogate]]) and attack the model with those.</p>",
            page="defend-tokens",
            ask=Choose(
                "Whose result will theirs be like?",
                (
                    ("public", "The one’s who has the public model only"),
                    ("known", "The one’s who has our very tokens"),
                ),
            ),
            setup=BOARD,
            see=_surrogate,
            select={"threat": "surrogate", "goal": "feature"},
            point=THREATS,
            look="Three pictures, made with more and more knowledge; with tokens, which bar is lowest?",
            explain="<p>On this model the recipe alone helps little. Do not rely on that: in the study of ViT-Tiny, "
            "above, see how far such an attacker gets. A secret that can be rebuilt is a weak secret.</p>",
            equation=ADAPTIVE,
            source=f"{PULFER}, limitations; {TRAMER}",
        ),
        Step(
            title="And the answer?",
            text="<p>All of this was about the feature. But what people use is the answer. The plainest attack of "
            "all, [[PGD]] on the answer, with the same two levels, by an attacker who has <b>only the public "
            "model</b>: the weakest of the four.</p>",
            ask=Choose(
                "Does the model with tokens keep its answer?",
                (
                    ("kept", "Yes: the tokens bring the feature back, and the answer with it"),
                    ("falls", "No, it is fooled"),
                ),
            ),
            setup=PGD | {"alter": ["tokens"], "craft_on": "bare"},
            see=_fooled,
            point="#lab-bars",
            look="Orange: what is answered to the attacked picture.",
            explain="<p>The tokens were trained against one attack, on the feature. An attack on the answer needs "
            "only a small turn of the feature in the right direction, and that the tokens do not see.</p><p>So a "
            "claim of robustness has three parts: <i>what</i> is protected, <i>how much</i> may change, <i>who</i> "
            "attacks. Leave one out and it means nothing.</p>",
            equation=WRONG,
            source=f"{MADRY}; on the paper’s own figures for answers see {PULFER}, the main table",
        ),
        Step(
            title="What does hold?",
            text="<p>For comparison a model that has no secret: [[adversarial training|adversarially trained]], at "
            "four levels. The attacker knows <b>everything</b> and uses PGD with two levels.</p>",
            ask=Choose(
                "What happens?",
                (
                    ("falls", "Fooled: who knows everything always wins"),
                    ("holds", "It keeps its answer"),
                ),
            ),
            setup=PGD | {"model": TRAINED},
            see=_trained,
            point="#lab-bars",
            look="Blue and orange, side by side. How sure is it, compared with the other model?",
            explain="<p>Its training assumed the attacker whom it now meets. That costs accuracy on untouched "
            "pictures, and all weights had to be trained, not ten vectors.</p><p>And this is one picture and one "
            "attack. On many it falls, too, only less often: the page Defend, room <i>training</i>, has the "
            "curve.</p>",
            equation=ROBUST,
            source=MADRY,
        ),
    ),
    task=Task(
        text=f"<p>Now alone. The golf ball, on the model with its tokens, attacked by Feature PGD as in the paper. "
        f"<b>Find out what a defender should have feared:</b> with at most {TASK_LEVELS} levels leave a cosine of "
        f"{TASK_COSINE} or less. The check tells you of each run which threat model its number belongs to: "
        "write down three of them.</p>",
        check=_check,
        hints=(
            "What is judged must stay: the ViT with its tokens. What the attacker knows is another control.",
            "It is called “Craft on”, and stands in “More”.",
            "Craft on what is judged: then the attacker has the tokens.",
        ),
        setup=ALONE,
        solution=ALONE | {"craft_on": "judged"},
    ),
    paper=f"{PULFER}; {TRAMER}; {MADRY}",
)
