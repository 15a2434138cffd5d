"""A finished run as one JSON object: everything the views need to draw every stored step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from demo.kit.packing import pack, pack_rows, png, png_change, shown
from demo.lab.views import words
from demo.lab.views.about import about
from engine.core.figures import number, table
from engine.model import zoo
from engine.model.victim import BlockShape
from engine.papers.quant import threshold as quant_threshold
from engine.probe import attention, compare, depth, gradients, outliers, scores, tokens
from engine.probe.catalog import PROBES
from engine.probe.outliers import OutlierColumns
from engine.probe.probe import Probe, Reading
from engine.studio import Frame, Result

SHIPPED = 0.05
MOST_CLASSES = 8


def payload(result: Result, run_id: str) -> dict[str, Any]:
    """All that the views draw from: pictures, probabilities, losses, verdict and inner readings.

    A view whose readings the model lacks holds `{"missing": "why"}` instead.
    """
    classes = _classes(result)
    criterion = result.request.criterion
    frames = [*result.frames, result.noise]
    return {
        "kind": "run",
        "run": run_id,
        "about": about(result),
        "model": {
            "name": result.card.name,
            "title": result.title,
            "input": result.spec.input_size,
        },
        "attack": {
            "name": result.request.recipe.name,
            "title": result.request.recipe.title,
            "eps": number(result.request.recipe.eps * 255),
        },
        "goal": _goal(result),
        "steps": [frame.step for frame in result.frames],
        "done": result.steps,
        "asked": result.asked,
        "clean": png(result.clean.pixels),
        "changes": [png_change(frame.pixels, result.clean.pixels) for frame in frames],
        "classes": [{"index": i, "name": _called(result, i)} for i in classes],
        "probabilities": [table(frame.probabilities[classes]) for frame in frames],
        "tops": [_top(result, frame) for frame in frames],
        "losses": [number(loss) for loss in result.losses],
        "final_loss": None if result.adversarial.loss is None else number(result.adversarial.loss),
        "criterion": {"name": criterion.name, "goal": criterion.goal, "first": criterion.first},
        "told": [words.told(result, frame) for frame in result.frames],
        "noise_told": words.told(result, result.noise),
        "first": words.first(result),
        "caveats": words.caveats(result),
        "control": words.control(result),
        "shown": words.shown_to(result.transfers),
        "verdict": _verdict(result),
        "known": _known(result),
        "shapes": [
            {
                "heads": s.heads,
                "prefix": s.prefix,
                "tokens": s.tokens,
                "grid": list(s.grid),
                "queries": s.queries,
            }
            for s in result.spec.blocks
        ],
        **{probe.name: _section(result, probe) for probe in PROBES},
        "notes": list(result.notes),
    }


def slab(result: Result, query: int) -> dict[str, Any]:
    """Attention of one query token, all stored frames x blocks x heads, as in the payload.

    `query` counts the first block's tokens, prefix first. Where a later block has another grid,
    the patch that holds the same place is asked.
    """
    if any(attention.PROBE.name not in frame.readings for frame in result.frames):
        return {}
    shape = result.spec.blocks[0]
    last = shape.prefix + shape.grid[0] * shape.grid[1] - 1
    return {"query": query, **_asked(result, min(max(query, 0), last))}


def _goal(result: Result) -> dict[str, Any]:
    target = result.request.target
    return {
        "label": result.label,
        "label_name": _called(result, result.label),
        "label_given": result.request.label is not None,
        "target": target,
        "target_name": None if target is None else _called(result, target),
    }


def _called(result: Result, index: int) -> str:
    """A class name as words: folder names write `golf_ball`."""
    return shown(result.name(index))


def _classes(result: Result) -> list[int]:
    """The label and target, then the likeliest classes of clean, adversarial and noise in turn."""
    target = result.request.target
    chosen = [result.label, *([] if target is None else [target])]
    likely = [
        frame.probabilities.topk(min(MOST_CLASSES, len(frame.probabilities))).indices.tolist()
        for frame in (result.clean, result.adversarial, result.noise)
    ]
    chosen += [index for place in zip(*likely, strict=True) for index in place]
    return list(dict.fromkeys(chosen))[:MOST_CLASSES]


def _top(result: Result, frame: Frame) -> dict[str, Any]:
    return {
        "index": frame.top,
        "name": _called(result, frame.top),
        "p": number(float(frame.probabilities[frame.top])),
    }


def _verdict(result: Result) -> dict[str, Any]:
    size = result.distances
    return {
        "success": result.success,
        "linf": size.linf,
        "moved": number(result.moved * 255),
        "l2": number(size.l2),
        "psnr": number(size.psnr),
        "ssim": number(size.ssim),
        "seconds": number(result.seconds),
        "crafting_seconds": number(result.crafting_seconds),
        "device": result.device,
        "seed": result.request.seed,
        "transfers": [
            {
                "model": each.model,
                "title": zoo.card(each.model, result.request.weights).title,
                "comparable": each.comparable,
                "clean": shown(each.clean),
                "clean_p": number(each.clean_probability),
                "adversarial": shown(each.adversarial),
                "adversarial_p": number(each.adversarial_probability),
                "changed": each.changed,
            }
            for each in result.transfers
        ],
    }


def _known(result: Result) -> dict[str, Any]:
    """Whether the model can know the picture: its classes, and how sure it is of any of them."""
    measured = result.familiar
    return {
        "classes": len(result.spec.classes),
        "stranger": result.request.stranger,
        "unsure": result.unsure,
        "logit": number(result.clean.logit),
        "threshold": measured and number(measured.threshold),
        "flags": measured and number(measured.flags),
        "catches": measured and number(measured.catches),
    }


def _section(result: Result, probe: Probe[Any]) -> dict[str, Any]:
    """What a probe's view draws from: its own message, or each reading's numbers as they are."""
    if not result.request.views:
        return {"missing": "This run was made without recording what happens inside."}
    if any(probe.name not in frame.readings for frame in result.frames):
        return {"missing": f"{result.title} {probe.without.said(result.spec)}."}
    return SECTIONS.get(probe.name, lambda result: _plainly(result, probe))(result)


def _plainly(result: Result, probe: Probe[Any]) -> dict[str, Any]:
    return {"frames": [_numbers(reading) for reading in _readings(result, probe)]}


def _numbers(reading: Any) -> dict[str, Any]:
    """Every tensor of a reading as a table, by its name."""
    return {name: table(value) for name, value in vars(reading).items() if torch.is_tensor(value)}


def _readings(result: Result, probe: Probe[Reading]) -> list[Reading]:
    """Of the stored frames, then of the noise control, where it has one."""
    found = (probe.of(frame.readings) for frame in (*result.frames, result.noise))
    return [reading for reading in found if reading is not None]


def _attention(result: Result) -> dict[str, Any]:
    """Rows of the class token, or of the central patch where there is none."""
    shape = result.spec.blocks[0]
    centre = (shape.grid[0] // 2) * shape.grid[1] + shape.grid[1] // 2
    query = 0 if shape.prefix > shape.tokens else shape.prefix + centre
    return {"query": query, **_asked(result, query)}


def _asked(result: Result, query: int) -> dict[str, Any]:
    """A query's rows in every frame, where they look narrowly and widely, where they have turned."""
    shapes = result.spec.blocks
    places = [_place(shapes[0], shape, query) for shape in shapes]
    read = _readings(result, attention.PROBE)
    rows = [[maps.row(block, at) for block, at in enumerate(places)] for maps in read]
    bits = compare.spread(rows[0])
    frames: list[dict[str, Any]] = []
    for at, maps in enumerate(read):
        rollout = maps.rollout(query=query)
        values = [m[:, q].flatten() for m, q in zip(maps.maps, places, strict=True)]
        scales = [s[:, q] for s, q in zip(maps.scales, places, strict=True)]
        later = 0 < at < len(result.frames)
        frames.append(
            {
                "values": pack(torch.cat(values)),
                "scales": pack(torch.cat(scales).float()),
                "rollout": None if rollout is None else pack(rollout),
                "turned": _named(compare.turned(rows[0], rows[at], rows[-1])) if later else None,
            }
        )
    return {"frames": frames, "narrow": _end(bits, min(bits)), "wide": _end(bits, max(bits))}


def _end(bits: list[float], end: float) -> dict[str, Any]:
    return {"block": bits.index(end), "bits": number(end)}


def _named(found: Any) -> dict[str, Any]:
    """A named tuple of numbers, whole ones and None as they are."""
    return {name: _plain(value) for name, value in found._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return number(value) if isinstance(value, float) else value


def _place(first: BlockShape, shape: BlockShape, query: int) -> int:
    """The token of `shape`'s grid at the place of token `query` of the first block's grid.

    In a block of class attention only the class token asks.
    """
    if query < first.prefix:
        return min(query, shape.prefix - 1) if shape.prefix else 0
    if shape.queries is not None:
        return 0
    row, column = divmod(query - first.prefix, first.grid[1])
    (rows, columns), (r, c) = first.grid, shape.grid
    return (
        shape.prefix + (2 * row + 1) * r // (2 * rows) * c + (2 * column + 1) * c // (2 * columns)
    )


def _gradients(result: Result) -> dict[str, Any]:
    read = _readings(result, gradients.PROBE)
    clean = compare.measures(read[0])
    frames = [
        {
            **_numbers(each),
            "tokens": [pack_rows(block) for block in each.tokens],
            "against": {
                name: _against(clean[name], now) for name, now in compare.measures(each).items()
            },
        }
        for each in read
    ]
    top = {name: value.nan_to_num(-1).argmax(0).tolist() for name, value in clean.items()}
    return {"components": list(gradients.COMPONENTS), "top": top, "frames": frames}


def _against(clean: Tensor, now: Tensor) -> dict[str, Any]:
    found = compare.against(clean, now)
    return {"typical": table(found.typical), "far": found.far.tolist()}


def _gaps(result: Result) -> dict[str, Any]:
    read = _readings(result, scores.PROBE)
    frames = [{**_numbers(each), "widest": _named(compare.widest(read[0], each))} for each in read]
    limits = {"cancels": scores.CANCELS, "underflows": scores.UNDERFLOWS}
    return {"limits": limits, "frames": frames}


def _outliers(result: Result) -> dict[str, Any]:
    """Columns of every layer at every threshold on offer."""
    read = _readings(result, outliers.PROBE)
    clean = read[0]
    int8 = result.request.int8
    set_by = None if int8 else quant_threshold.usual(result.card.name, result.request.weights)
    default = int8.threshold if int8 else set_by.value if set_by else quant_threshold.PUBLISHED
    offered = compare.offered(read, default, SHIPPED)
    total = sum(peak.numel() for peak in clean.columns)
    return {
        "layers": [{"block": block, "slot": slot} for block, slot in clean.layers],
        "lengths": [peak.numel() for peak in clean.tokens],
        "total": total,
        "largest": number(float(offered[-1])),
        "thresholds": offered.tolist(),
        "default": int((offered - default).abs().argmin()),
        "shares": table(compare.counts(clean.columns, offered).sum(1) / total),
        "origin": words.threshold(int8, set_by),
        "frames": [_columns(each, offered) for each in read],
    }


def _columns(read: OutlierColumns, offered: Tensor) -> dict[str, Any]:
    counts = compare.counts(read.columns, offered)
    return {
        "layers": pack(counts.to(torch.uint16)),
        "columns": counts.sum(1).tolist(),
        "hugging_face": compare.as_hugging_face(counts, read).tolist(),
        "tokens": pack(torch.cat(read.tokens).half()),
    }


def _depth(result: Result) -> dict[str, Any]:
    """Divergence from the clean stream, and what the model's own head reads off each block."""
    target = result.request.target
    wanted = [result.label, result.adversarial.top, *([] if target is None else [target])]
    wanted = list(dict.fromkeys(wanted))
    read = _readings(result, depth.PROBE)
    frames = [
        {
            "cosine": table(each.cosine),
            "tokens": [pack_rows(tokens.clamp_min(0)) for tokens in each.tokens],
            "parting": _named(compare.parting(each, read[-1])),
            **({} if each.lens is None else _lens(each.lens[:, wanted])),
        }
        for each in read
    ]
    return {
        "lens_classes": [{"index": i, "name": _called(result, i)} for i in wanted],
        "limits": {"apart": compare.APART, "read": compare.READ},
        "frames": frames,
    }


def _lens(lens: Tensor) -> dict[str, Any]:
    return {"lens": table(lens), "read_from": compare.read_from(lens)}


def _tokens(result: Result) -> dict[str, Any]:
    read = _readings(result, tokens.PROBE)
    return {
        "blocks": list(read[0].blocks),
        "total": read[0].keep.shape[1],
        "pruner": read[0].pruner,
        "frames": [
            {
                "keep": pack(masks.keep.to(torch.uint8)),
                "kept": masks.kept.tolist(),
                "utilisation": number(masks.utilisation),
                "woken": compare.woken(read[0], masks).tolist(),
                "put": compare.woken(masks, read[0]).tolist(),
            }
            for masks in read
        ],
    }


SECTIONS: dict[str, Callable[[Result], dict[str, Any]]] = {
    attention.PROBE.name: _attention,
    gradients.PROBE.name: _gradients,
    scores.PROBE.name: _gaps,
    outliers.PROBE.name: _outliers,
    depth.PROBE.name: _depth,
    tokens.PROBE.name: _tokens,
}
"""Messages of views that draw more than a reading's numbers."""
