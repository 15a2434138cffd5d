"""Lesson 4: what LLM.int8 does with large inputs, and an attack that makes it pay for them."""

from __future__ import annotations

from html import escape

import torch
from torch import Tensor

from demo.kit.sections import shipped
from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Mark, Seen, Step, Task
from demo.learn.said import MADRY
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Report
from engine.papers.quant.findings import Findings
from engine.papers.quant.threshold import PUBLISHED, usual
from engine.probe import outliers
from engine.probe.outliers import OutlierColumns
from engine.studio import Result
from engine.studio.result import Frame

MODEL, LARGER, TASK_PICTURE = "vit_imagenette", "vit_tiny_patch16_224", "church"
TASK_TIMES, TASK_LEVELS = 10, 4
NORMALISED = ("qkv", "fc1")
MARKED = 5
BATCH = 8
CAP, CLIP = "budget of 1 % per layer", "clipping under the threshold"
study = shipped("quant", Findings)

DETTMERS = (
    "Dettmers et al., <i>LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale</i>, "
    "NeurIPS 2022"
)
BARAS = (
    "Baras et al., <i>QuantAttack: Exploiting Quantization Techniques to Attack Vision Transformers</i>, "
    "WACV 2025"
)
SPLIT = """<math display="block"><mi>y</mi><mo>=</mo><munder><munder><mrow><msub><mi>s</mi><mi>x</mi></msub>
<msub><mi>s</mi><mi>w</mi></msub><mspace width="0.2em"/><msub><mi>X</mi><mn>8</mn></msub><msubsup><mi>W</mi>
<mn>8</mn><mi>T</mi></msubsup></mrow><mo>⏟</mo></munder><mtext>in 8 bits</mtext></munder><mo>+</mo><munder><munder>
<mrow><msub><mi>X</mi><mi>O</mi></msub><msubsup><mi>W</mi><mi>O</mi><mi>T</mi></msubsup></mrow><mo>⏟</mo></munder>
<mtext>in 16 bits</mtext></munder></math>
<math display="block"><mi>O</mi><mo>=</mo><mo>{</mo><mi>k</mi><mo>:</mo><munder>
<mi>max</mi><mi>t</mi></munder><mo>|</mo><msub><mi>X</mi><mrow><mi>t</mi><mi>k</mi></mrow></msub><mo>|</mo><mo>≥</mo>
<mi>τ</mi><mo>}</mo></math><p>X has a row for every token t and a column for every input k; W are the layer’s weights,
s the step sizes of both, τ the threshold, O the outlier columns.</p>"""
LOSS = """<math display="block"><mi>L</mi><mo>=</mo><msub><mi>L</mi><mtext>outliers</mtext></msub><mo>+</mo><mn>50</mn>
<msup><mrow><mo>‖</mo><mi>z</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>−</mo><mi>z</mi><mo>(</mo><msub><mi>x</mi><mn>0</mn>
</msub><mo>)</mo><mo>‖</mo></mrow><mn>2</mn></msup><mo>/</mo><mi>c</mi><mo>+</mo><mn>0.01</mn>
<mspace width="0.2em"/><mrow><mi>TV</mi><mo>(</mo><mi>x</mi><mo>)</mo></mrow></math><p>Lower is better for the attacker. The first
term falls as columns near the threshold τ rise; the second holds all c logits z where they were; the third keeps the
picture smooth.</p>"""
UNION = """<math display="block"><msub><mi>O</mi><mtext>batch</mtext></msub><mo>=</mo><munder><mo>⋃</mo><mi>i</mi></munder>
<msub><mi>O</mi><mi>i</mi></msub></math><p>A layer multiplies all tokens of all pictures of a batch at once, so a column
is in 16 bits for everybody as soon as it is for one.</p>"""
CAPPED = """<math display="block"><mo>|</mo><mi>O</mi><mo>|</mo><mo>≤</mo><mo>⌊</mo><mi>ρ</mi><mi>K</mi><mo>⌋</mo></math>
<p>Of a layer’s K columns at most a share ρ may leave int8: those with the largest inputs. The rest stays, however
large.</p>"""
WORK = """<math display="block"><mfrac><mtext>multiplications</mtext><mtext>of the float model</mtext></mfrac><mo>=</mo>
<mn>1</mn><mo>+</mo><mfrac><mrow><munder><mo>∑</mo><mi>l</mi></munder><mo>|</mo><msub><mi>O</mi><mi>l</mi></msub><mo>|</mo>
<msub><mi>M</mi><mi>l</mi></msub><msub><mi>N</mi><mi>l</mi></msub></mrow><mrow><munder><mo>∑</mo><mi>l</mi></munder>
<msub><mi>K</mi><mi>l</mi></msub><msub><mi>M</mi><mi>l</mi></msub><msub><mi>N</mi><mi>l</mi></msub></mrow></mfrac></math>
<p>M tokens, K inputs, N outputs of layer l. As bitsandbytes runs it, the 8-bit product spans all K columns (the
outlier ones are zeros in it) and the 16-bit one comes on top.</p>"""


def _inputs(frame: Frame) -> OutlierColumns:
    """The peaks of a frame's layer inputs; every model of this lesson has them."""
    found = outliers.PROBE.of(frame.readings)
    assert found is not None
    return found


def _threshold(of: Result) -> float:
    """Where every page takes outliers of the run's model to begin."""
    found = usual(of.request.model, of.request.weights)
    return PUBLISHED if found is None else found.value


def _columns(of: Result, frame: Frame, threshold: float | None = None) -> int:
    return _inputs(frame).total(threshold or _threshold(of))


def _times(ratio: float) -> str:
    return f"×{ratio:.1f}" if ratio < 10 else f"×{ratio:.0f}"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _kept(of: Result, frame: Frame) -> str:
    now, before = (escape(of.name(each.top)) for each in (frame, of.clean))
    return f"still <b>{now}</b>" if now == before else f"<b>{now}</b> instead of {before}"


def _layers(of: Result) -> Seen:
    read, at = _inputs(of.clean), _threshold(of)
    by = dict.fromkeys((slot for _, slot in read.layers), 0)
    for (_, slot), count in zip(read.layers, read.counts(at).tolist(), strict=True):
        by[slot] += int(count)
    total = sum(by.values())
    share = sum(by[slot] for slot in NORMALISED) / max(1, total)
    most = max(by, key=by.__getitem__)
    answer = "normalised" if share > 0.8 else most if most not in NORMALISED else "alike"
    said = (
        f"{total} of {_count(sum(map(len, read.columns)))} columns reach {at:.2f}: "
        f"{', '.join(f'<b>{count}</b> in {slot}' for slot, count in by.items())}, over all "
        f"{len(of.spec.blocks)} blocks."
    )
    return Seen(said, answer, (share - 0.8) / 0.1)


def _crossings(of: Result, frame: Frame) -> Tensor:
    """In how many layers each patch's token reaches the threshold (patches,)."""
    read, at = _inputs(frame), _threshold(of)
    reached = torch.stack([peaks >= at for peaks in read.tokens]).sum(0)
    return reached[read.shapes[0].prefix :]


def _places(of: Result) -> Seen:
    crossed = _crossings(of, of.clean)
    most = crossed.argsort(descending=True, stable=True)[:MARKED]
    mean, high = float(crossed.float().mean()), float(crossed[most].float().mean())
    _, wide = _inputs(of.clean).shapes[0].grid
    rows = ", ".join(f"row {i // wide + 1} column {i % wide + 1}" for i in most.tolist())
    said = (
        f"The {MARKED} patches that cross most often do so in {high:.1f} of {len(_inputs(of.clean).layers)} "
        f"layers, the average patch in {mean:.1f}: {rows}. {int((crossed == 0).sum())} of {len(crossed)} "
        "patches never cross."
    )
    return Seen(said, tuple(most.tolist()), high / max(mean, 0.1) - 1.5)


def _others(of: Result) -> Seen:
    clean, attacked, noise = (_columns(of, each) for each in (of.clean, of.adversarial, of.noise))
    by = {"pgd": attacked / max(1, clean), "noise": noise / max(1, clean)}
    doubled = [name for name, ratio in by.items() if ratio >= 2]
    answer = "both" if len(doubled) == 2 else doubled[0] if doubled else "neither"
    said = (
        f"Outlier columns: {clean} clean, <b>{attacked}</b> under PGD, <b>{noise}</b> under noise. PGD’s "
        f"answer: {_kept(of, of.adversarial)}; noise: {_kept(of, of.noise)}."
    )
    fooled = of.adversarial.top != of.clean.top and of.noise.top == of.clean.top
    return Seen(said, answer, 2 - max(by.values()) if fooled else 0.0)


def _raised(of: Result) -> Seen:
    clean, attacked, noise = (_columns(of, each) for each in (of.clean, of.adversarial, of.noise))
    ratio = attacked / max(1, clean)
    said = (
        f"{clean} columns clean, <b>{attacked}</b> attacked: {_times(ratio)}. Noise of the same "
        f"{of.distances.linf} levels: {noise}. The answer: {_kept(of, of.adversarial)}."
    )
    there = of.adversarial.top == of.clean.top and noise < 2 * clean
    return Seen(said, round(min(ratio, 40), 1), (ratio - 5) / 5 if there else 0.0)


def _published(of: Result) -> Seen:
    at = _threshold(of)
    clean, attacked = (_columns(of, each, PUBLISHED) for each in (of.clean, of.adversarial))
    here = _columns(of, of.adversarial)
    left = attacked / max(1, here)
    answer = "few" if left < 0.05 else "half" if left < 0.7 else "same"
    said = (
        f"At {at:.2f} the attacked picture has {here} outlier columns, at {PUBLISHED:.1f} <b>{attacked}</b> "
        f"(clean: {clean})."
    )
    known = study(LARGER)
    if isinstance(known, Findings):
        by = {each.name: each.columns.value for each in known.measured}
        if {"clean", "quantattack"} <= by.keys():
            said += (
                f" On ViT-Tiny, an ImageNet model, our study of {known.about.pictures} photographs "
                f"counted {by['clean']:.0f} columns clean and {by['quantattack']:.0f} attacked at "
                f"{known.about.threshold:.1f}."
            )
    return Seen(said, answer, (0.05 - left) / 0.025)


def _batch(of: Report) -> Seen:
    alone = of.batch_columns(1, ATTACKED) / max(1, of.batch_columns(1, CLEAN))
    before, after = (of.batch_columns(BATCH, name) for name in (CLEAN, ATTACKED))
    ratio = after / max(1, before)
    said = (
        f"Eight clean pictures: {before} columns together. With one of them attacked: <b>{after}</b>, "
        f"{_times(ratio)}. Alone it was {_times(alone)}."
    )
    there = alone > ratio
    return Seen(said, round(min(ratio, 8.0), 1), ratio - 1.5 if there else 0.0)


def _capped(of: Report) -> Seen:
    by = {each.name: each for each in of.defences}
    none, cap, clip = (by[name] for name in ("none", CAP, CLIP))
    left = cap.attacked / none.attacked
    said = (
        f"The cap leaves <b>{100 * left:.1f} %</b> of the attack’s cost, and the picture’s answer is "
        f"{'kept' if cap.kept else 'lost'}. On {of.others} other pictures the logits are off by "
        f"{100 * cap.error:.2f} % with it, by {100 * none.error:.2f} % without, and by "
        f"{100 * clip.error:.2f} % if large inputs are clipped instead."
    )
    answer, known = "little", study(of.model)
    if isinstance(known, Findings):
        price = next((each.price for each in known.defended if each.name == CAP), None)
        if price is not None:
            answer = "little" if price.low <= 0 <= price.high else "points"
            said += (
                f" In our study of {price.pictures} photographs it changed accuracy by {price.value:+.1f} "
                f"points (95 % interval {price.low:+.1f} to {price.high:+.1f})."
            )
    if cap.error > 5 * none.error:
        answer = "useless"
    there = cap.kept and answer == "little"
    return Seen(said, answer, (0.3 - left) / 0.2 if there else 0.0)


def _timed(of: Report) -> Seen:
    assert of.times is not None  # of a report that is whole
    took = {name: each.median for name, each in of.times.items()}
    ratio = took[CLEAN] / took["float"]
    answer = "faster" if ratio < 0.95 else "slower" if ratio > 1.05 else "alike"
    work = {name: 1 + of.seen[name].cost.share for name in (CLEAN, ATTACKED, NOISE)}
    said = (
        f"Counted, exactly: int8 multiplies {100 * work[CLEAN]:.1f} % of what the float model does on the "
        f"clean picture and <b>{100 * work[ATTACKED]:.1f} %</b> on the attacked one. Measured on this machine, "
        f"median of {of.times[CLEAN].rounds}: float {1000 * took['float']:.0f} ms, int8 clean "
        f"<b>{1000 * took[CLEAN]:.0f} ms</b>, int8 attacked {1000 * took[ATTACKED]:.0f} ms."
    )
    grown = of.share(ATTACKED) / max(of.share(CLEAN), 1e-9)
    return Seen(said, answer, (grown - 3) / 3)


def _check(of: Result) -> Checked:
    asked, size = of.request, of.distances.linf
    if asked.model != MODEL or asked.alter:
        return Checked(False, "Take the bundled ViT, unaltered.")
    if asked.name != TASK_PICTURE:
        return Checked(False, f"Take the {TASK_PICTURE}.")
    clean, now = (_columns(of, each) for each in (of.clean, of.adversarial))
    ratio = now / max(1, clean)
    told = f"{clean} columns became {now} ({_times(ratio)}) with {size} levels; the answer: {_kept(of, of.adversarial)}."
    if of.adversarial.top != of.clean.top:
        return Checked(False, f"{told} Somebody would notice that.")
    if size > TASK_LEVELS:
        return Checked(False, f"{told} That is more than {TASK_LEVELS} levels.")
    if ratio < TASK_TIMES:
        return Checked(False, f"{told} {_times(TASK_TIMES)} is wanted.")
    return Checked(True, f"{told} The bill has grown and nobody can see why.")


SEEN_CLEAN = {
    "source": "sample:golf_ball",
    "model": MODEL,
    "attack": "quantattack",
    "craft_on": "judged",
    "knob-eps": 0,
    "knob-steps": 1,
    "others": [],
}
PGD = {
    "source": "sample:golf_ball",
    "model": MODEL,
    "attack": "pgd",
    "craft_on": "judged",
    "knob-eps": 8,
    "knob-steps": 10,
    "others": [],
}
ATTACK = {
    "source": "sample:golf_ball",
    "model": MODEL,
    "attack": "quantattack",
    "craft_on": "judged",
    "knob-eps": 8,
    "knob-steps": 10,
    "knob-threshold": 3.6,
    "knob-form": "count",
    "others": [],
}
BOARD = {"source": "sample:golf_ball", "model": MODEL, "eps": 8, "steps": 5}
ALONE = {
    "source": f"sample:{TASK_PICTURE}",
    "model": MODEL,
    "attack": "quantattack",
    "craft_on": "judged",
    "knob-eps": TASK_LEVELS,
    "knob-steps": 10,
    "others": [],
}

LESSON = Lesson(
    name="outliers",
    title="Outliers that cost",
    question="Can a picture be expensive, and look like any other?",
    minutes=14,
    steps=(
        Step(
            title="A bargain with a back door",
            text="<p>A [[linear layer]] multiplies its input, a row for every token, by a matrix. [[int8]] does "
            "that in whole numbers from −127 to 127: less memory, cheaper hardware. But one huge input "
            "would stretch the scale until all others are rounded to nothing. So [[LLM.int8]] makes an "
            "exception: an [[input column]] in which any token reaches a [[threshold of outliers|threshold]] is "
            "an [[outlier]] and is computed in 16 bits.</p><p>Each [[block]] has four linear layers. Nothing is "
            "attacked yet: the budget is 0.</p>",
            ask=Choose(
                "On a clean picture, where are the outlier columns?",
                (
                    ("normalised", "In qkv and fc1, which read tokens straight from a LayerNorm"),
                    ("proj", "In proj, which reads what attention has gathered"),
                    ("fc2", "In fc2, which reads the MLP’s hidden units"),
                    ("alike", "In all of them alike"),
                ),
            ),
            setup=SEEN_CLEAN,
            see=_layers,
            tab="Outliers",
            point="#lab-outliers",
            look="Four panels, one for each kind of layer, on one scale; a bar is a block. Blue is the clean "
            "picture.",
            explain="<p>Attention hands on a weighted mean of its values, and means have few extremes. A "
            "[[LayerNorm]] scales each token to unit spread instead: a token with one odd coordinate shows it, "
            "and a learned gain of that column can make it larger still. In large language models, too, "
            "outliers keep to a few columns.</p><p>So outliers are normal, and rare. The bargain is made on that "
            "average.</p>",
            equation=SPLIT,
            source=DETTMERS,
        ),
        Step(
            title="Who makes the outliers?",
            text="<p>One token is enough to send a column to 16 bits. Which tokens do it? The picture is cut "
            "into 10 × 10 [[patch|patches]], a token each.</p>",
            ask=Mark(
                f"Mark the {MARKED} patches that, on the clean picture, you think cross the threshold in most "
                "layers.",
                MARKED,
            ),
            setup=SEEN_CLEAN,
            see=_places,
            select={"layer": 14},
            tab="Outliers",
            point="#lab-outliers",
            look="The map shows the largest input of each token in one layer; framed tokens cross. Choose other "
            "bars: do the frames stay on the ball?",
            explain="<p>An outlier is not a sign of importance. It is a number that happens to be large, and "
            "patches of plain sky or grass have them, too. That is good for an attacker: any corner of the "
            "picture will do.</p>",
            equation=SPLIT,
            source=DETTMERS,
        ),
        Step(
            title="Would any attack do?",
            text="<p>[[PGD]] wants a wrong answer, with 8 levels (8/255). Beside it stands, as always, the "
            "[[noise control]]: random signs of the same size.</p>",
            ask=Choose(
                "Which of the two at least doubles the outlier columns?",
                (
                    ("neither", "Neither"),
                    ("pgd", "PGD only"),
                    ("noise", "Noise only: it shakes all inputs"),
                    ("both", "Both"),
                ),
            ),
            setup=PGD,
            see=_others,
            tab="Outliers",
            point="#lab-outliers",
            look="Blue clean, orange PGD, grey noise. And above, in the verdict: PGD did get its wrong answer.",
            explain="<p>To fool and to cost are two goals. PGD goes where the error grows, and that is not where "
            "inputs grow large. Noise pushes with no plan at all.</p>",
            equation=SPLIT,
            source=MADRY,
        ),
        Step(
            title="An attack on the bill",
            text="<p>[[QuantAttack]] goes for the columns: it raises those that are near the threshold, and "
            "holds all [[logit|logits]] where they were. Same 8 levels, same ten steps.</p>",
            ask=Estimate(
                "How many times as many outlier columns will there be?", 1, 40, 0.5, "times"
            ),
            setup=ATTACK,
            see=_raised,
            tab="Outliers",
            point="#lab-outliers",
            look="Orange is everywhere in qkv and fc1. Now look at the verdict: what does the model say?",
            explain="<p>The answer has not changed, so nobody who looks at answers will notice. What is attacked "
            "is the <i>effort</i>: the work of this model depends on its input, and whoever chooses the input "
            "chooses the work. That is an attack on [[availability]].</p>",
            equation=LOSS,
            source=f"{BARAS}, the attack’s loss (its outlier term here is our soft count of columns)",
        ),
        Step(
            title="Where does an outlier begin?",
            text="<p>LLM.int8 was published with a threshold of 6. Our ViT is so small that hardly any input "
            "gets there, so these pages set it lower: where 0.5 % of all columns of clean pictures cross. The run "
            "is the same as before, and so is the attack.</p>",
            ask=Choose(
                "Count the attacked picture’s outlier columns at 6.0 instead. How many are left?",
                (
                    ("same", "Nearly all: the attack made them huge"),
                    ("half", "About half"),
                    ("few", "Hardly any, less than one in twenty"),
                ),
            ),
            setup=ATTACK,
            see=_published,
            select={"threshold": 6},
            tab="Outliers",
            point="#lab-outliers",
            look="The slider stands at 6.0. Move it back slowly and watch the bars come.",
            explain="<p>The attack does no more than it must: it counts columns over the line that it was given, "
            "and lifts them just over that. A higher line is a cheap defence here. In large language models it is "
            "not: there clean outliers are many times as large, and answers hang on them.</p>"
            "<p>So a count of outliers without its threshold says nothing; and 3.6 is our choice for this model, "
            "not the paper’s.</p>",
            equation=SPLIT,
            source=f"{DETTMERS}; {BARAS}",
        ),
        Step(
            title="Those who pay with you",
            text="<p>Now the page <b>Cost</b>, where the int8 model really runs. A server computes several "
            "pictures at once, in a [[batch]]: ours and seven of other people, all clean.</p>",
            page="cost",
            ask=Estimate(
                "One of the eight is attacked. How many times as many outlier columns has the whole batch?",
                1,
                8,
                0.1,
                "times",
            ),
            setup=BOARD,
            see=_batch,
            point="#cost-batch",
            look="From left to right the batch grows: clean pictures bring columns of their own.",
            explain="<p>A column is in 16 bits for all eight as soon as one token of one of them needs it. Seven "
            "people pay for a picture that they never saw. In a larger batch the attack’s <i>share</i> shrinks, "
            "since clean pictures fill columns, too: larger batches are a defence, but a weak one.</p>",
            equation=UNION,
            source=f"{BARAS}, the experiments on batches and countermeasures",
        ),
        Step(
            title="A cap, and its price",
            text="<p>A simple [[countermeasure]]: in each layer at most 1 % of the columns may leave int8, those "
            "with the largest inputs. Whatever comes above stays in 8 bits.</p>",
            page="cost",
            ask=Choose(
                "What does such a cap cost on clean pictures?",
                (
                    ("useless", "The model becomes useless: outliers are there for a reason"),
                    ("points", "Some points of accuracy, for certain"),
                    ("little", "Nothing that could be told from nothing here"),
                ),
            ),
            setup=BOARD,
            see=_capped,
            point="#cost-defence",
            look="Read the line of the cap, then that of clipping: both stop the attack; compare the error of "
            "the logits.",
            explain="<p>The cap <i>guarantees</i> a worst case: no picture, attacked or not, can cost more. "
            "That is worth more than any figure on attacked pictures, because it does not ask what the "
            "attacker knows.</p><p>Take care with its price: “cannot be told from nothing” on so few "
            "photographs is not “nothing”. The interval says how much it could be.</p>",
            equation=CAPPED,
            source=f"{BARAS}, countermeasures",
        ),
        Step(
            title="Is int8 faster at all?",
            text="<p>So far we have counted. Counts are exact, and the same on every machine. A clock is not. "
            "This page has taken the time of both models, in turn, many times.</p>",
            page="cost",
            ask=Choose(
                "On the <i>clean</i> picture, on this machine: int8 against float?",
                (
                    ("faster", "int8 is faster (by more than 5 %)"),
                    ("alike", "They take the same time"),
                    ("slower", "int8 is slower (by more than 5 %)"),
                ),
            ),
            setup=BOARD,
            see=_timed,
            point="#cost-time",
            look="The line through each bar spans the middle half of the times. Do the bars’ differences stand "
            "out from it?",
            explain="<p>int8 is not “always faster”. It saves memory for certain. Time it saves only where the "
            "hardware multiplies 8-bit numbers faster than it loses time on finding the scales, splitting the "
            "columns and putting all together again.</p><p>And look at the exact figure: even on a clean picture "
            "this scheme multiplies <i>more</i> often than the float model, only in cheaper numbers. Each outlier "
            "column adds to that.</p>",
            equation=WORK,
            source=f"{DETTMERS}, on run time (in the appendix); {BARAS}, on time, memory and energy",
        ),
    ),
    task=Task(
        text=f"<p>Now alone. Make the <b>church</b> cost at least {TASK_TIMES} times as many outlier columns, "
        f"with at most {TASK_LEVELS} levels and the answer kept. It is counted at the threshold that the tab "
        "Outliers shows at first. The attack stands ready as it was published, but for ten steps instead of "
        "hundreds. Does that suit a model of this size?</p>",
        check=_check,
        hints=(
            "Run it once, and look at the tab Outliers: how far does it get, and where does its slider stand?",
            "The attack has a knob for the threshold that it aims at. Which one would you give it here?",
            "There is another outlier loss: our soft count of columns.",
        ),
        setup=ALONE,
        solution=ALONE | {"knob-threshold": 3.6, "knob-form": "count"},
    ),
    paper=f"{BARAS}; {DETTMERS}",
)
