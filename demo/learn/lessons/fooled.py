"""Lesson 0: what an attack is, and what eps, the 8-bit picture and the noise control are for."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Seen, Step, Task
from demo.learn.said import DONG, MADRY, percent, says, true
from engine.studio import Result

ROBUST, HARD, MOST_LEVELS = "vit_imagenette_pgd_at", "parachute", 12
GOODFELLOW = "Goodfellow, Shlens and Szegedy, <i>Explaining and Harnessing Adversarial Examples</i>, ICLR 2015"
BUDGET = """<math display="block"><munder><mi>max</mi><mrow><msub><mrow><mo>‖</mo><mi>δ</mi><mo>‖</mo></mrow>
<mi>∞</mi></msub><mo>≤</mo><mi>ε</mi></mrow></munder><mspace width="0.3em"/><mi>L</mi><mo>(</mo><mi>f</mi>
<mo>(</mo><mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo><mo>,</mo><mi>y</mi><mo>)</mo></math>
<p>x is the picture, y its class, f the model, L its error, δ the change; the largest entry of δ is at most ε.</p>"""
ADDS_UP = """<math display="block"><mi>g</mi><mo>·</mo><mi>sign</mi><mo>(</mo><mi>g</mi><mo>)</mo><mo>=</mo>
<munder><mo>∑</mo><mi>i</mi></munder><mo>|</mo><msub><mi>g</mi><mi>i</mi></msub><mo>|</mo><mo>∼</mo><mi>n</mi>
<mspace width="2em"/><mi>g</mi><mo>·</mo><mi>s</mi><mo>=</mo><munder><mo>∑</mo><mi>i</mi></munder><mo>±</mo>
<msub><mi>g</mi><mi>i</mi></msub><mo>∼</mo><msqrt><mi>n</mi></msqrt></math>
<p>g is the gradient of the error, s the tosses of a coin, and n = 3 · 160 · 160 = 76 800 numbers a picture.</p>"""
MOMENTUM = """<math display="block"><mi>m</mi><mo>←</mo><mi>μ</mi><mi>m</mi><mo>+</mo><mfrac><mi>g</mi>
<mrow><mi>mean</mi><mo>|</mo><mi>g</mi><mo>|</mo></mrow></mfrac><mspace width="2em"/><mi>x</mi><mo>←</mo>
<msub><mi>clip</mi><mi>ε</mi></msub><mo>(</mo><mi>x</mi><mo>+</mo><mi>α</mi><mi>sign</mi><mo>(</mo><mi>m</mi>
<mo>)</mo><mo>)</mo></math><p>α = ε / 10 is the size of a step, μ = 1 the memory, clip keeps within ε.</p>"""
ROUNDED = """<math display="block"><msub><mi>x</mi><mi>file</mi></msub><mo>=</mo><mfrac><mrow><mi>round</mi>
<mo>(</mo><mn>255</mn><mi>x</mi><mo>)</mo></mrow><mn>255</mn></mfrac></math>
<p>A change of less than half a level is rounded away.</p>"""
TARGETED = """<math display="block"><mi>x</mi><mo>←</mo><msub><mi>clip</mi><mi>ε</mi></msub><mo>(</mo><mi>x</mi>
<mo>−</mo><mi>α</mi><mi>sign</mi><mo>(</mo><msub><mo>∇</mo><mi>x</mi></msub><mi>L</mi><mo>(</mo><mi>f</mi><mo>(</mo>
<mi>x</mi><mo>)</mo><mo>,</mo><mi>t</mi><mo>)</mo><mo>)</mo><mo>)</mo></math>
<p>Downhill for the class t that was asked for, instead of uphill for the true one.</p>"""


def _levels(count: int) -> str:
    return f"{count} level{'s' * (count != 1)}"


def _four(of: Result) -> Seen:
    clean, now = of.clean, of.adversarial
    sure = float(now.probabilities.max())
    answer = "sure" if of.success and sure > 0.7 else "torn" if of.success else "same"
    said = (
        f"Clean: {says(of, clean)}. Attacked: {says(of, now)}. Measured on the saved file, no number "
        f"has moved by more than {_levels(of.distances.linf)}."
    )
    there = answer == "sure" and of.distances.linf <= 4 and true(of, clean) > 0.85
    return Seen(said, answer, (sure - 0.7) / 0.2 if there else 0.0)


def _noise(of: Result) -> Seen:
    kept = true(of, of.noise)
    said = (
        f"With noise of {_levels(of.distances.linf)} the model says {says(of, of.noise)}; the clean picture "
        f"had {percent(true(of, of.clean))}. The attack of the very same size leaves "
        f"{percent(true(of, of.adversarial))}: {says(of, of.adversarial)}."
    )
    margin = min((kept - 0.5) / 0.2, (0.2 - true(of, of.adversarial)) / 0.1)
    return Seen(said, round(100 * kept), margin if of.noise.top == of.label else 0.0)


def _ten(of: Result) -> Seen:
    course = [true(of, each) for each in of.frames]
    first = next((each.step for each in of.frames if each.reached), of.asked)
    falls = [before - after for before, after in pairwise(course)]
    even = (course[0] - course[-1]) / len(falls)
    moved = first * of.request.recipe.eps * 255 / of.asked
    said = (
        f"It gives {escape(of.name(of.label))} {', '.join(percent(each) for each in course[:6])} and then "
        f"hardly anything. The answer is lost after step {first}, when no number can have moved by more "
        f"than {moved:.1f} levels."
    )
    steep, early = max(falls) / even - 2, of.asked / 2 - first
    return Seen(said, first, min(steep, early) if of.success else 0.0)


def _one(of: Result) -> Seen:
    changed = float((of.perturbation() != 0).float().mean())
    said = (
        f"{percent(changed)} of all numbers changed, none by more than {_levels(of.distances.linf)}, and "
        f"the model says {says(of, of.adversarial)}."
    )
    margin = min((changed - 0.7) / 0.1, (0.5 - true(of, of.adversarial)) / 0.2)
    there = of.success and of.distances.linf == 1
    return Seen(said, round(100 * changed), margin if there else 0.0)


def _file(of: Result) -> Seen:
    before, kept = of.frames[-2], true(of, of.adversarial)
    gone = abs(kept - true(of, of.clean)) < 0.001
    answer = "back" if gone else "less" if not of.success else "stays"
    said = (
        f"In the attack’s own fractions the model said {says(of, before)}. In the saved file no number "
        f"differs ({_levels(of.distances.linf)}), and it says {says(of, of.adversarial)}, as to the "
        "clean picture."
    )
    there = gone and of.distances.linf == 0 and before.top != of.label
    return Seen(said, answer, (0.5 - true(of, before)) / 0.2 if there else 0.0)


def _asked(of: Result) -> Seen:
    target = of.request.target
    reached = 0.0 if target is None else float(of.adversarial.probabilities[target])
    moved = of.adversarial.top != of.label
    answer = "sure" if reached > 0.7 else "barely" if of.success else "other" if moved else "no"
    said = (
        f"Clean: {says(of, of.clean)}. After {_levels(of.distances.linf)}: {says(of, of.adversarial)}, "
        f"and noise of that size: {says(of, of.noise)}."
    )
    there = answer == "sure" and of.noise.top == of.label
    return Seen(said, answer, (reached - 0.7) / 0.2 if there else 0.0)


def _holds(of: Result) -> Seen:
    kept = true(of, of.adversarial)
    answer = "falls" if of.success else "barely" if kept < 0.6 else "holds"
    said = (
        f"Clean: {says(of, of.clean)}. After MI-FGSM with {_levels(of.distances.linf)}: "
        f"{says(of, of.adversarial)}. It stays right."
    )
    there = answer == "holds" and of.distances.linf == 2
    return Seen(said, answer, (kept - 0.6) / 0.2 if there else 0.0)


def _falls(of: Result) -> Seen:
    kept = true(of, of.adversarial)
    said = (
        f"PGD finds one within {_levels(of.distances.linf)}: {says(of, of.adversarial)}. Random noise of that "
        f"size: {says(of, of.noise)}."
    )
    there = of.success and of.distances.linf <= 2 and of.noise.top == of.label
    return Seen(said, "yes" if of.success else "no", (0.5 - kept) / 0.2 if there else 0.0)


def _check(of: Result) -> Checked:
    asked, size = of.request, of.distances.linf
    if asked.model != ROBUST or asked.alter:
        return Checked(False, "Attack the model that was trained against attacks, unaltered.")
    if asked.name != HARD or of.clean.top != of.label:
        return Checked(False, f"Take the {HARD}, and let its true class be what the model sees.")
    now = f"With {_levels(size)} the model says {says(of, of.adversarial)}"
    if not of.success:
        return Checked(False, f"{now}: what you wanted is not there yet.")
    if of.noise.top != of.label:
        return Checked(False, f"{now}, but to noise of that size {says(of, of.noise)}, too.")
    if size > MOST_LEVELS:
        return Checked(False, f"{now}. Fooled! It can be done with {MOST_LEVELS} or fewer.")
    return Checked(
        True,
        f"{now}, and to noise of that size {says(of, of.noise)}. Done with {_levels(size)}; is there "
        "less? Only a run can tell.",
    )


LESSON = Lesson(
    name="fooled",
    title="Fooled by four grey levels",
    question="How little must a picture change before a model is wrong?",
    minutes=12,
    steps=(
        Step(
            title="Four levels of 256",
            text="<p>A picture is numbers: three for every pixel (red, green, blue), each one of 256 "
            "[[grey level|grey levels]]. The model spreads 100 % over its ten classes ([[softmax]]), and "
            "nearly all of it goes to <b>golf ball</b>.</p><p>An [[attack]] may now move every number by "
            "at most four levels. That is its [[eps|budget, eps = 4/255]].</p>",
            ask=Choose(
                "What will the model say to the changed picture?",
                (
                    ("same", "Golf ball, about as sure as before"),
                    ("less", "Golf ball, but much less sure"),
                    ("torn", "Another class, torn between several"),
                    ("sure", "Another class, and sure of it"),
                ),
            ),
            setup={"source": "sample:golf_ball", "knob-eps": 4, "others": []},
            see=_four,
            point="#lab-bars",
            look="Blue is the clean picture, orange the attacked one. Then drag the divider over the two "
            "pictures: can you see the change?",
            explain="<p>Nothing was broken and nothing covered up. The attack asked the model, for every "
            "number, which way makes its error grow, and went that way.</p><p>A share of nearly 100 % says "
            "how far the winner is ahead on <i>this</i> picture. It does not say how near another answer "
            "is.</p>",
            equation=BUDGET,
            source=MADRY,
        ),
        Step(
            title="Is it only noise?",
            text="<p>Perhaps any shaking would do? So every run here has a [[noise control]]: each "
            "number moves up or down by the whole budget, as a coin falls.</p><p>To be fair to noise we give "
            "both 16 levels now, four times as much. You will see the grain.</p>",
            ask=Estimate(
                "How much does the model still give to <b>church</b> when the picture has noise of 16 "
                "levels?",
                0,
                100,
                1,
                "%",
            ),
            setup={"source": "sample:church", "knob-eps": 16, "others": []},
            see=_noise,
            point="#lab-bars",
            look="The grey mark on each bar is the noise; orange is the attack of the same size.",
            explain="<p>The tosses of a coin mostly cancel: some push towards the mistake, some away. The "
            "attack’s pushes all go the same way, and a picture has tens of thousands of them.</p><p>That "
            "is what the control is for. Where noise of the same size fools the model, too, “fooled” says "
            "nothing of the attack.</p>",
            equation=ADDS_UP,
            source=GOODFELLOW,
        ),
        Step(
            title="Ten small steps",
            text="<p>The attack does not jump. It takes the [[gradient]] of the model’s error: which way, up "
            "or down, makes the error grow, number by number. It moves everything a tenth of the budget that "
            "way, and asks again, ten times. This one, [[MI-FGSM]], also remembers where it went "
            "before.</p>",
            ask=Estimate(
                "Budget: 4 levels in 10 steps. After which step is the answer lost?", 1, 10, 1
            ),
            setup={"source": "sample:parachute", "knob-eps": 4, "others": []},
            see=_ten,
            point="#lab-scrubber",
            look="Go back through the steps with the scrubber; pictures and bars follow.",
            explain="<p>It does not fall by a tenth each step. The gap between the two largest "
            "[[logit|logits]] shrinks step by step; [[softmax]] takes exponentials of it, so that the share "
            "stays high, then drops off a cliff. The steps after that only make the mistake surer.</p>",
            equation=MOMENTUM,
            source=DONG,
        ),
        Step(
            title="One level, but everywhere",
            text="<p>How much smaller can it get? One level is the least change that a picture of 8 bits "
            "can hold.</p>",
            ask=Estimate(
                "At most one level: what share of the picture’s numbers will the attack change?",
                0,
                100,
                1,
                "%",
            ),
            setup={"source": "sample:golf_ball", "knob-eps": 1, "others": []},
            see=_one,
            select={"compare": "difference"},
            point="#lab-pair",
            look="This is the signed difference, made many times stronger: is it where the ball is?",
            explain="<p>The budget bounds the <i>largest</i> change ([[Linf]]) and nothing else, so the attack "
            "spends it nearly everywhere, background too.</p><p>A small Linf is therefore not “a few "
            "pixels”; and it is not the same as “invisible” either. What an eye sees depends on where and "
            "how: try 32 levels later.</p>",
            equation=BUDGET,
            source=GOODFELLOW,
        ),
        Step(
            title="What a file can hold",
            text="<p>While it works, the attack computes with fractions. Here it takes four steps of a tenth "
            "of a level, so no number moves by more than 0.4. Inside the computer that is enough: there "
            "the model is fooled.</p><p>Then we save the picture as a PNG, which holds whole levels, open it "
            "again and ask the model.</p>",
            ask=Choose(
                "What does it say to the file?",
                (
                    ("stays", "The wrong answer: the pictures hardly differ"),
                    ("less", "The right answer, but less sure than at first"),
                    ("back", "The right answer, exactly as sure as at first"),
                ),
            ),
            setup={
                "source": "sample:tench",
                "knob-eps": 1,
                "knob-steps": 4,
                "knob-step_size": 0.1,
                "others": [],
            },
            see=_file,
            point="#lab-verdict",
            look="The size that stands here was measured on the saved file. Now go one step back with the "
            "scrubber: that is what the attack saw.",
            explain="<p>Less than half a level is rounded away, and all of the attack with it. A picture that "
            "cannot be saved cannot be sent to anybody. So each final number on these pages is measured "
            "on the [[8-bit picture]] that you can download.</p>",
            equation=ROUNDED,
            source="Carlini and Wagner, <i>Towards Evaluating the Robustness of Neural Networks</i>, IEEE S&amp;P 2017, "
            "section V, on discretization",
        ),
        Step(
            title="A mistake made to order",
            text="<p>So far any wrong answer would do. A [[targeted attack]] wants one in particular. The "
            "picture shows a fish; we ask for <b>garbage truck</b>, with four levels.</p>",
            ask=Choose(
                "How far will it get?",
                (
                    ("no", "Nowhere: a fish is too far from a truck"),
                    ("other", "Another wrong answer, something closer to a fish"),
                    ("barely", "Garbage truck, but only just"),
                    ("sure", "Garbage truck, nearly 100 %"),
                ),
            ),
            setup={
                "source": "sample:tench",
                "knob-eps": 4,
                "goal": "a class I choose",
                "target": "garbage truck",
                "others": [],
            },
            see=_asked,
            point="#lab-bars",
            look="One bar has taken nearly everything; is there any truck to see in the picture?",
            explain="<p>The same gradient, of another error: downhill towards the class that is asked for. "
            "What is near for the model need not be near for us: with so many numbers to move, every border "
            "is close.</p>",
            equation=TARGETED,
            source=DONG,
        ),
        Step(
            title="The other golf ball",
            text="<p>Another golf ball, and the model is just as sure of it. One level was enough for the "
            "first one; this one gets two.</p>",
            ask=Choose(
                "What will happen?",
                (
                    ("falls", "It is fooled again"),
                    ("barely", "It stays right, but only just"),
                    ("holds", "It stays right, clearly"),
                ),
            ),
            setup={"source": "sample:golf_ball_2", "knob-eps": 2, "others": []},
            see=_holds,
            point="#lab-headline",
            look="The badge says whether the attack got what it wanted.",
            explain="<p>Two pictures of one thing, both with a sure answer, and one is much harder to fool: "
            "being sure is not being safe, nor the other way round.</p><p>But take care what you have "
            "learnt. <i>This</i> attack, with <i>these</i> ten steps, found nothing.</p>",
            equation=MOMENTUM,
            source=DONG,
        ),
        Step(
            title="The same two levels, searched again",
            text="<p>Same picture, same model, same two levels. Only the search is another one: [[PGD]] starts "
            "at a random place inside the budget, takes larger steps and remembers nothing.</p>",
            ask=Choose(
                "Is there a picture within two levels that fools the model?",
                (
                    ("no", "No, ten steps have just shown that there is none"),
                    ("yes", "Yes, the first attack only missed it"),
                ),
            ),
            setup={
                "source": "sample:golf_ball_2",
                "attack": "pgd",
                "knob-eps": 2,
                "knob-steps": 10,
                "others": [],
            },
            see=_falls,
            point="#lab-headline",
            look="Fooled, with the budget at which the last attack failed.",
            explain="<p>An attack that succeeds proves that the model can be fooled. An attack that fails "
            "proves nothing: [[robust]] means that <i>no</i> picture within the budget fools it, and no attack "
            "has tried them all. Keep this for every defence that you will be shown.</p>",
            equation=BUDGET,
            source=MADRY,
        ),
    ),
    task=Task(
        text=f"<p>Now alone. This model was trained against attacks, and stands four levels on the "
        f"parachute. <b>Find the smallest eps that fools it there, while noise of that size does not.</b> "
        f"{MOST_LEVELS} levels or fewer count as found; the fewer the better.</p>",
        check=_check,
        hints=(
            "Raise eps until something happens, then come down again.",
            "Does MI-FGSM fail? You have seen what that proves. Try another attack.",
            "PGD, with more steps.",
        ),
        setup={"model": ROBUST, "source": f"sample:{HARD}", "knob-eps": 4, "others": []},
        solution={
            "model": ROBUST,
            "source": f"sample:{HARD}",
            "attack": "pgd",
            "knob-eps": MOST_LEVELS,
            "knob-steps": 20,
            "others": [],
        },
    ),
    paper=f"{GOODFELLOW}; {MADRY}; {DONG}",
)
