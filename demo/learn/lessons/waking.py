"""Lesson 3: a model that lets tokens sleep, and an attack that wakes them and keeps the answer."""

from __future__ import annotations

from html import escape

from demo.kit.sections import shipped
from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Mark, Seen, Setup, Step, Task
from demo.learn.said import percent, says
from engine.evaluate import interval
from engine.papers.desparsify.compare import ATTACKED, CLEAN, DENSE, Report
from engine.papers.desparsify.findings import Findings
from engine.probe.tokens import TokenMasks
from engine.studio import Result
from engine.studio.result import Frame

HOST, HALTING = "vit_imagenette", "vit_imagenette_avit"
HORN, CHURCH, TENCH = "french_horn_2", "church", "tench"
MARKED, MOST_LEVELS, ENOUGH = 10, 8, 0.9
CAPPED = "cap at the clean mean, least confident go"
PAPER = (
    "Yehezkel et al., <i>DeSparsify: Adversarial Attack Against Token Sparsification Mechanisms in Vision "
    "Transformers</i>, NeurIPS 2024"
)
FAYYAZ = (
    "Fayyaz et al., <i>Adaptive Token Sampling for Efficient Vision Transformers</i>, ECCV 2022"
)
YIN = "Yin et al., <i>A-ViT: Adaptive Tokens for Efficient Vision Transformer</i>, CVPR 2022"
SCORE = """<math display="block"><msub><mi>S</mi><mi>j</mi></msub><mo>=</mo><mfrac><mrow><msub><mi>A</mi>
<mrow><mn>1</mn><mi>j</mi></mrow></msub><mo>‖</mo><msub><mi>V</mi><mi>j</mi></msub><mo>‖</mo></mrow><mrow>
<munder><mo>∑</mo><mi>i</mi></munder><msub><mi>A</mi><mrow><mn>1</mn><mi>i</mi></mrow></msub><mo>‖</mo>
<msub><mi>V</mi><mi>i</mi></msub><mo>‖</mo></mrow></mfrac></math>
<p>A₁ⱼ is how much the class token attends to token j, Vⱼ what it takes from there. Of 100 patches, 100 draws are
made at even distances along the sum of S; a patch that is never drawn sleeps from here on.</p>"""
LOSS = """<math display="block"><mi>L</mi><mo>=</mo><msub><mi>L</mi><mi>tokens</mi></msub><mo>+</mo><mi>λ</mi>
<msub><mi>L</mi><mi>class</mi></msub></math><p>Both are made small. The first counts, softly, the tokens that
will sleep; the second is nothing while the clean answer leads safely. λ = 0.1 here.</p>"""
UNIFORM = """<math display="block"><msub><mi>S</mi><mi>j</mi></msub><mo>≥</mo><mfrac><mn>1</mn><mi>R</mi></mfrac>
<mspace width="0.6em"/><mo>⇒</mo><mspace width="0.6em"/><mtext>token j is kept</mtext></math>
<p>R is the number of draws. To wake all, the attack makes all scores equal, S = 1 / R.</p>"""
HALT = """<math display="block"><msubsup><mi>h</mi><mi>j</mi><mi>l</mi></msubsup><mo>=</mo><mi>σ</mi><mo>(</mo>
<mi>γ</mi><msubsup><mi>x</mi><mrow><mi>j</mi><mo>,</mo><mn>0</mn></mrow><mi>l</mi></msubsup><mo>+</mo><mi>β</mi>
<mo>)</mo><mspace width="1.5em"/><munder><mo>∑</mo><mi>l</mi></munder><msubsup><mi>h</mi><mi>j</mi><mi>l</mi>
</msubsup><mo>≥</mo><mn>0.99</mn><mo>:</mo><mtext> token j halts</mtext></math>
<p>After block l, one single number of token j, x<sub>j,0</sub>, decides how far it is on its way to sleep.</p>"""
BOUND = """<math display="block"><msub><mi>n</mi><mi>l</mi></msub><mo>≤</mo><msub><mi>b</mi><mi>l</mi></msub>
<mspace width="0.6em"/><mo>⇒</mo><mspace width="0.6em"/><mi>cost</mi><mo>≤</mo><munder><mo>∑</mo><mi>l</mi></munder>
<mi>cost</mi><mo>(</mo><msub><mi>b</mi><mi>l</mi></msub><mo>)</mo></math><p>n<sub>l</sub> tokens in block l,
b<sub>l</sub> the mean of clean pictures there. It holds for every picture: no attack need be tried.</p>"""
BILL = """<math display="block"><mi>cost</mi><mo>(</mo><mi>n</mi><mo>)</mo><mo>=</mo><mn>4</mn><mi>n</mi>
<msup><mi>d</mi><mn>2</mn></msup><mo>+</mo><mn>2</mn><msup><mi>n</mi><mn>2</mn></msup><mi>d</mi><mo>+</mo>
<mn>2</mn><mi>r</mi><mi>n</mi><msup><mi>d</mi><mn>2</mn></msup></math>
<p>Multiplications of a block with n tokens of width d: projections, attention, and an MLP that is r times as
wide.</p>"""
study = shipped("desparsify", Findings)


def _at(picture: str, eps: int, steps: int = 20, **more: object) -> Setup:
    """ATS on the bundled ViT, and DeSparsify; crafted in float32 whatever the machine."""
    asked: dict[str, object] = {"model": HOST, "alter": ["ats"], "attack": "desparsify"}
    asked |= {"source": f"sample:{picture}", "knob-eps": eps, "knob-steps": steps}
    return asked | {"craft_on": "judged", "others": []} | more


def _masks(frame: Frame) -> TokenMasks:
    found = frame.readings["tokens"]
    assert isinstance(found, TokenMasks)
    return found


def _awake(frame: Frame) -> float:
    """The share of tokens that are computed, over the blocks that may drop some."""
    return _masks(frame).utilisation


def _macs(of: Result, name: str) -> str:
    return f"{of.adversarial.figures[name] / 1e9:.3f}"


def _woken(of: Result) -> float:
    """The share of what sleeps on the clean picture that the attack wakes, of token places."""
    asleep = 1 - _awake(of.clean)
    return (_awake(of.adversarial) - _awake(of.clean)) / asleep


def _studied(model: str, name: str, subject: str) -> str:
    """What the shipped study says of a set of pictures: how much of the saving it takes away."""
    known = study(model)
    found = isinstance(known, Findings) and [m for m in known.measured if m.name == name]
    if not found:
        return ""
    (each,) = found
    return (
        f" On {each.pictures} photographs, at {255 * each.eps:.0f}/255, {subject} takes away "
        f"{_interval(each.gap)} of what is spared."
    )


def _interval(of: interval.Estimate) -> str:
    return f"{of.value:.0f} % [{of.low:.0f}, {of.high:.0f}]".replace("-", "−")


def _sleep(of: Result) -> Seen:
    masks = _masks(of.clean)
    patches = masks.keep[:, masks.shape.prefix :]
    longest = patches.sum(0).sort(descending=True, stable=True).indices
    left, (rows, columns) = int(patches[-1].sum()), masks.shape.grid
    said = (
        f"After the last block {left} of {rows * columns} patches are still awake. The picture costs "
        f"{_macs(of, 'MACs, clean')} billion multiplications instead of {_macs(of, 'MACs, dense')}."
    )
    answer = tuple(sorted(longest[:MARKED].tolist()))
    return Seen(said, answer, 1 - abs(left - MARKED) / 3 if left < 2 * MARKED else 0.0)


def _wakes(of: Result) -> Seen:
    now, before = _awake(of.adversarial), _awake(of.clean)
    said = (
        f"Awake on the clean picture: {percent(before)}; attacked: {percent(now)}. The bill grows from "
        f"{_macs(of, 'MACs, clean')} to {_macs(of, 'MACs')} billion multiplications."
    )
    third = (0.1 - abs(before - 1 / 3)) / 0.05  # as the question says
    return Seen(said, round(100 * now), min((_woken(of) - 0.4) / 0.2, third))


def _kept(of: Result) -> Seen:
    clean, now = of.clean, of.adversarial
    fell = float(clean.probabilities[clean.top] - now.probabilities[clean.top])
    answer = "other" if now.top != clean.top else "less" if fell > 0.15 else "same"
    said = (
        f"Clean: {says(of, clean)}. Attacked: {says(of, now)}, while {percent(_woken(of))} of what slept "
        "was woken."
    )
    there = answer == "same" and _woken(of) > 0.4
    return Seen(said, answer, (0.15 - fell) / 0.1 if there else 0.0)


def _noise(of: Result) -> Seen:
    clean, noise, now = (_awake(each) for each in (of.clean, of.noise, of.adversarial))
    said = (
        f"Clean {percent(clean)} awake, with noise {percent(noise)}, attacked with the same budget "
        f"{percent(now)}.{_studied(HOST, 'noise', 'noise')}"
    )
    return Seen(said, round(100 * noise), 1 - 4 * abs(noise - clean) / (now - clean))


def _fooled(of: Result) -> Seen:
    clean, now = _awake(of.clean), _awake(of.adversarial)
    answer = "more" if now > clean + 0.02 else "fewer" if now < clean - 0.02 else "same"
    said = (
        f"The answer is now {says(of, of.adversarial)}, and {percent(now)} are awake instead of "
        f"{percent(clean)}.{_studied(HOST, 'pgd', 'PGD')} A minus means: even more is spared."
    )
    there = answer == "fewer" and of.adversarial.top != of.clean.top
    return Seen(said, answer, (clean - now - 0.02) / 0.05 if there else 0.0)


def _halts(of: Result) -> Seen:
    part = _woken(of)
    answer = "few" if part < 0.25 else "half" if part < 0.75 else "all"
    said = (
        f"With {of.distances.linf} levels {percent(part)} of what slept is awake: "
        f"{percent(_awake(of.clean))} became {percent(_awake(of.adversarial))}. The answer is still "
        f"{says(of, of.adversarial)}."
    )
    there = answer == "all" and of.adversarial.top == of.clean.top
    return Seen(said, answer, (part - 0.75) / 0.15 if there else 0.0)


def _capped(of: Result) -> Seen:
    clean, now = _awake(of.clean), _awake(of.adversarial)
    answer = "back" if now > 0.7 else "half" if now > clean + 0.1 else "held"
    known = study(HOST)
    priced = [d for d in known.defended if d.name == CAPPED] if isinstance(known, Findings) else []
    price = "".join(
        f" The price on {d.price.pictures} photographs: {d.price.value:+.1f} points of accuracy "
        f"[{d.price.low:+.1f}, {d.price.high:+.1f}]."
        for d in priced
    ).replace("-", "−")
    said = (
        f"Awake: {percent(clean)} on the clean picture, {percent(now)} attacked by somebody who knows of "
        f"the cap.{price}"
    )
    return Seen(said, answer, (clean + 0.1 - now) / 0.1 if answer == "held" else 0.0)


def _timed(of: Report) -> Seen:
    """What is asserted is that multiplications are spared; what that is worth in time is a machine's own."""
    if of.times is None or of.machine is None:
        return Seen("The run ended before anything was timed.", "all", 0.0)
    macs = of.seen[CLEAN].macs / of.dense
    took = of.times[CLEAN].median / of.times[DENSE].median
    woken = of.times[ATTACKED].median / of.times[CLEAN].median
    answer = "all" if took < macs + 0.03 else "some" if took < 0.97 else "none"
    said = (
        f"The clean picture needs {percent(macs)} of the dense model’s multiplications and took "
        f"{percent(took)} of its time, on {escape(of.machine.device)}. The attacked picture took "
        f"{woken:.2f} times the clean one’s time."
    )
    if answer == "all":
        said += " On this machine, in this run, time does follow the multiplications."
    return Seen(said, answer, (0.8 - macs) / 0.1)


def _check(of: Result) -> Checked:
    asked, size = of.request, of.distances.linf
    if asked.model != HOST or [each.name for each in asked.alter] != ["ats"]:
        return Checked(False, "Take the ViT, altered by ATS and by nothing else.")
    if asked.name != CHURCH:
        return Checked(False, "Take the church.")
    clean, now, noise = (_awake(each) for each in (of.clean, of.adversarial, of.noise))
    told = f"With {size} levels {percent(now)} are awake (clean {percent(clean)}, noise {percent(noise)})"
    if of.adversarial.top != of.clean.top:
        return Checked(
            False, f"{told}, but the answer is {says(of, of.adversarial)}: somebody would notice."
        )
    if now < ENOUGH:
        return Checked(False, f"{told}: not yet {percent(ENOUGH)}.")
    if size > MOST_LEVELS:
        return Checked(
            False, f"{told}, and the answer stays. It can be done with {MOST_LEVELS} levels."
        )
    return Checked(
        True,
        f"{told}, and the answer is still {says(of, of.adversarial)}. Done with {size} levels; would fewer "
        "do?",
    )


LESSON = Lesson(
    name="waking",
    title="Waking the sleeping tokens",
    question="Can a picture make a model work harder, and nobody notice?",
    minutes=14,
    steps=(
        Step(
            title="Patches that sleep",
            text="<p>A ViT cuts the picture into 100 patches, a [[token]] each, and every [[block]] computes "
            "all of them. That is a waste: much of a picture is table.</p><p>[[ATS]] spares the work. From the "
            "third block on it keeps the tokens that matter to the [[class token]] and lets the others "
            "<b>sleep</b>: no later block computes them. This run changes nothing, its budget is 0.</p>",
            ask=Mark("Mark the 10 patches that you think stay awake to the end.", MARKED),
            setup=_at(HORN, 0, 1),
            see=_sleep,
            tab="Tokens",
            select={"block": 7},
            point="#lab-tokens .lab-maps",
            look="The left map: dark patches sleep, the bright ones are computed to the end.",
            explain="<p>Ten marks at random would hit one on average. Did the model keep the horn, as you would "
            "have? Much of what stays is table and toys.</p><p>A token is not its patch any more after some "
            "blocks: it has gathered from everywhere. <b>Attention is not an explanation</b>, and “awake” "
            "does not mean “the thing itself”.</p>",
            equation=SCORE,
            source=FAYYAZ,
        ),
        Step(
            title="Somebody wakes them",
            text="<p>How many sleep depends on the picture. So whoever sends the picture has a hand on the bill. "
            "[[DeSparsify]] does not want another answer. It looks for a change, here of at most 8 levels, with "
            "which the model lets <b>as few tokens sleep as possible</b>.</p>",
            ask=Estimate(
                "On the clean church about a third of the tokens are awake, over the six blocks that may drop "
                "some. How many will be, attacked?",
                0,
                100,
                1,
                "%",
            ),
            setup=_at(CHURCH, 8),
            see=_wakes,
            tab="Tokens",
            select={"block": 7},
            point="#lab-tokens .lab-maps",
            look="Yellow frames, on the right: tokens that the attack has woken.",
            explain="<p>The attack goes downhill on a soft count of the sleeping tokens, twenty steps of it. "
            "What a model saves on some pictures it can be made to pay on others: this is an attack on "
            "<b>availability</b>, on battery, heat and waiting time.</p>",
            equation=LOSS,
            source=PAPER,
        ),
        Step(
            title="And the answer?",
            text="<p>Twice as many tokens take part. Surely that changes what the model says? Look at the fish. "
            "The attack has a second term, that leaves the answer alone.</p>",
            ask=Choose(
                "What does the model say to the attacked fish?",
                (
                    ("other", "Something else: more tokens, another answer"),
                    ("less", "The same, but much less sure"),
                    ("same", "The same, about as sure as before or surer"),
                ),
            ),
            setup=_at(TENCH, 8),
            see=_kept,
            point="#lab-bars",
            look="Blue is clean, orange attacked. Whoever only looks at answers sees nothing wrong.",
            explain="<p>Accuracy is watched everywhere; cost hardly anywhere. Without the second term the "
            "attack does change answers, and would be found out.</p>",
            equation=LOSS,
            source=f"{PAPER}, on the classification loss",
        ),
        Step(
            title="Would noise do?",
            text="<p>Perhaps any disturbance keeps a model awake. The [[noise control]] of this run is as large as "
            "the attack, and we allow both 16 levels now.</p>",
            ask=Estimate(
                "How many tokens are awake when the church has noise of 16 levels?", 0, 100, 1, "%"
            ),
            setup=_at(CHURCH, 16),
            see=_noise,
            tab="Tokens",
            point="#lab-tokens .lab-overview",
            look="Three lines over the blocks: clean, noise, attacked. Which two lie together?",
            explain="<p>Noise shifts the scores of single patches, and as many fall asleep as wake up. To wake all "
            "of them, scores must become <i>equal</i>, and that takes a plan.</p>",
            equation=UNIFORM,
            source=f"{PAPER}, on random perturbations",
        ),
        Step(
            title="A hard blow at the answer",
            text="<p>Then an attack that does have a plan: [[PGD]], which wants a wrong answer and gets one nearly "
            "always. It turns the model upside down.</p>",
            ask=Choose(
                "What happens to the number of tokens that are awake?",
                (
                    ("more", "It grows: the model is confused"),
                    ("same", "It stays as it is"),
                    ("fewer", "It falls: the model works less than on the clean picture"),
                ),
            ),
            setup=_at(CHURCH, 8, 10, attack="pgd"),
            see=_fooled,
            tab="Tokens",
            select={"block": 7},
            point="#lab-tokens .lab-maps",
            look="Hatched blue, on the right: tokens that this attack put to sleep.",
            explain="<p>An attack gets what its loss asks for, and nothing else. Fooling the answer and raising the "
            "bill are two different aims; a model’s record against one says nothing about the "
            "other.</p>",
            equation=LOSS,
            source=f"{PAPER}, table 1",
        ),
        Step(
            title="Another way to sleep",
            text="<p>[[A-ViT]] was <i>trained</i> to let tokens halt: after each block each token adds to its own "
            "halting score, and at 0.99 it stops. No draws, no class token. And a quarter of the budget: "
            "2 levels, ten steps.</p>",
            ask=Choose(
                "How much of what sleeps will be woken?",
                (
                    ("few", "Hardly any: it was trained, and 2 levels are little"),
                    ("half", "About half"),
                    ("all", "Nearly all"),
                ),
            ),
            setup=_at(CHURCH, 2, 10, model=HALTING, alter=[]),
            see=_halts,
            tab="Tokens",
            select={"block": 6},
            point="#lab-tokens .lab-overview",
            look="Nearly all tokens of the clean picture halt together; attacked, the line stays at the top.",
            explain="<p>Here one number of each token decides, and the sum of a few of them. A decision that hangs "
            "on little is easy to push. Training made A-ViT cheap on clean pictures; nobody asked it to stay "
            "cheap on others.</p>",
            equation=HALT,
            source=f"{YIN}; {PAPER}, table 1",
        ),
        Step(
            title="A cap, and what it costs",
            text="<p>A defence: no block may have more tokens than it has on clean pictures in the mean. What is "
            "beyond this [[token cap]] goes to sleep, come what may.</p><p>We test it as one should: the "
            "attacker <b>knows</b> of the cap and attacks the capped model, an [[adaptive attack]], with "
            "16 levels.</p>",
            ask=Choose(
                "How many tokens will that attacker get?",
                (
                    ("back", "Nearly all again: it is adapted to the cap"),
                    ("half", "Half of what the cap took away"),
                    ("held", "Hardly more than the clean picture has"),
                ),
            ),
            setup=_at(CHURCH, 16, alter=["ats", "cap"]),
            see=_capped,
            tab="Tokens",
            select={"block": 7},
            point="#lab-tokens .lab-overview",
            look="The attacked line cannot rise above the cap, in any block.",
            explain="<p>Most defences must be tried against ever better attacks. This one needs no trial: a "
            "bound on the tokens is a bound on the cost, for every picture there is. The price is paid by "
            "honest pictures with much in them, which lose tokens that they need.</p>",
            equation=BOUND,
            source=f"{PAPER}, countermeasures",
        ),
        Step(
            title="And on the clock?",
            text="<p>So far we counted multiplications. This room times real passes: what sleeps is really left "
            "out, the picture is alone in its batch, and clean, noisy, attacked and dense pass take turns. The "
            "[[dense model]] computes every token, always.</p>",
            ask=Choose(
                "You have seen what share of the multiplications the clean church spares. And of the time that "
                "the dense model takes?",
                (
                    ("all", "The same share: work is time"),
                    ("some", "A smaller share"),
                    ("none", "None: it takes as long, or longer"),
                ),
            ),
            page="cost-tokens",
            setup={"source": f"sample:{CHURCH}", "model": HOST, "eps": 8, "steps": 10},
            see=_timed,
            point="#tokens-time",
            look="Medians and quartiles of this machine; another machine, another answer. Run it again: how much "
            "does it wander?",
            explain="<p>Choosing whom to keep, sorting and gathering take time of their own, and small matrices "
            "use a processor badly. <b>Fewer tokens is not always less time.</b> In the paper, too, the dense "
            "DeiT-S was faster than the one that spares; what the attack wastes is then memory and energy. Ask "
            "of any “x times fewer operations”: measured on what?</p>",
            equation=BILL,
            source=f"{PAPER}, table 2",
        ),
    ),
    task=Task(
        text="<p>Now alone, in the Lab. The church, the ViT with ATS. <b>Find the smallest eps with which 90 % "
        "of the tokens are awake (over the blocks that may drop some) and the answer stays.</b> "
        f"{MOST_LEVELS} levels or fewer count as found.</p>",
        check=_check,
        hints=(
            "The Tokens tab says how many are awake. Raise eps first, to see that it can be done.",
            "An attacker has time, too: eps is not the only knob.",
            "Twice as many steps.",
        ),
        setup=_at(CHURCH, 4),
        solution=_at(CHURCH, MOST_LEVELS, 40),
    ),
    paper=f"{PAPER}; {FAYYAZ}; {YIN}",
)
