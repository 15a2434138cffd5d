"""A finished run as one JSON object: everything the views need to draw every stored step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from demo.kit.packing import number, pack, pack_rows, png, png_change, shown, table
from engine.evaluate import familiar
from engine.model import zoo
from engine.model.victim import BlockShape
from engine.papers.quant import threshold as quant_threshold
from engine.probe.outliers import OutlierColumns
from engine.studio import Frame, Result

SHIPPED = 0.05
MOST_CLASSES = 8


def payload(result: Result, run_id: str) -> dict[str, Any]:
    """All that the views draw from: pictures, probabilities, losses, verdict and inner readings.

    A view whose readings the model lacks holds `{"missing": "why"}` instead.
    """
    classes = _classes(result)
    frames = [*result.frames, result.noise]
    return {
        "kind": "run",
        "run": run_id,
        "model": {
            "name": result.card.name,
            "title": result.card.title,
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
        "asked": result.request.recipe.steps,
        "clean": png(result.clean.pixels),
        "changes": [png_change(frame.pixels, result.clean.pixels) for frame in frames],
        "classes": [{"index": i, "name": _called(result, i)} for i in classes],
        "probabilities": [table(frame.probabilities[classes]) for frame in frames],
        "tops": [_top(result, frame) for frame in frames],
        "losses": [number(loss) for loss in result.losses],
        "final_loss": None if result.adversarial.loss is None else number(result.adversarial.loss),
        "verdict": _verdict(result),
        "known": _known(result),
        "shapes": [
            {"heads": s.heads, "prefix": s.prefix, "grid": list(s.grid), "queries": s.queries}
            for s in result.spec.blocks
        ],
        "attention": _section(result, "attention", _attention),
        "gradients": _section(result, "gradients", _gradients),
        "gaps": _section(result, "gaps", _gaps),
        "outliers": _section(result, "outliers", _outliers),
        "depth": _section(result, "divergence", _depth),
        "tokens": _section(result, "tokens", _tokens),
        "notes": list(result.notes),
    }


def slab(result: Result, query: int) -> dict[str, Any]:
    """Attention of one query token, all stored frames x blocks x heads, as in the payload.

    `query` counts the first block's tokens, prefix first. Where a later block has another grid,
    the patch that holds the same place is asked.
    """
    if any(frame.attention is None for frame in result.frames):
        return {}
    shape = result.spec.blocks[0]
    last = shape.prefix + shape.grid[0] * shape.grid[1] - 1
    return {"query": query, "frames": _rows(result, min(max(query, 0), last))}


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
    measured = familiar.of(result.card)
    return {
        "classes": len(result.spec.classes),
        "stranger": result.request.stranger,
        "unsure": result.unsure,
        "logit": number(result.clean.logit),
        "threshold": measured and number(measured.threshold),
        "flags": measured and number(measured.flags),
        "catches": measured and number(measured.catches),
    }


LACKS = {
    "attention": "does not show its attention maps here",
    "gradients": "does not show the gradients of its attention, QKV and MLP parts here",
    "gaps": "does not show its pre-softmax scores here",
    "outliers": "does not show the inputs of its linear layers here",
    "divergence": "has no residual stream that can be compared block by block here",
    "tokens": "cannot drop tokens: token pruning by ATS needs a plain ViT or DeiT",
}


CONVOLUTIONAL = {
    "attention": "it has no attention to look at",
    "gradients": "it has no attention, QKV and MLP parts to compare",
    "gaps": "it has no softmax inside",
    "outliers": "it has no linear layers inside its blocks",
    "divergence": "its blocks cannot be compared here",
    "tokens": "it has no tokens to drop",
}


WINDOWED = {
    "attention": "its attention stays inside windows, not over the whole picture",
    "gradients": "its gradients are taken window by window, not over the whole picture",
    "gaps": "its pre-softmax scores are taken window by window",
    "outliers": "the inputs of its linear layers come window by window",
    "divergence": "its blocks cannot be compared here",
    "tokens": "its windows cannot lose tokens",
}


def _why(result: Result, reading: str) -> str:
    """One sentence on what this kind of model lacks."""
    title, blocks = result.card.title, result.spec.blocks
    if any(shape.window for shape in blocks):
        return f"{title} works in windows: {WINDOWED[reading]}."
    if blocks and not any(shape.heads for shape in blocks):
        return f"{title} is a convolutional network: {CONVOLUTIONAL[reading]}."
    return f"{title} {LACKS[reading]}."


def _section(
    result: Result, reading: str, build: Callable[[Result], dict[str, Any]]
) -> dict[str, Any]:
    if not result.request.views:
        return {"missing": "This run was made without recording what happens inside."}
    if any(getattr(frame, reading) is None for frame in result.frames):
        return {"missing": _why(result, reading)}
    return build(result)


def _all(result: Result) -> Sequence[Frame]:
    """The stored frames, then the noise control."""
    return (*result.frames, result.noise)


def _attention(result: Result) -> dict[str, Any]:
    """Rows of the class token, or of the central patch where there is none."""
    shape = result.spec.blocks[0]
    centre = (shape.grid[0] // 2) * shape.grid[1] + shape.grid[1] // 2
    query = 0 if shape.prefix else centre
    return {"query": query, "frames": _rows(result, query)}


def _rows(result: Result, query: int) -> list[dict[str, Any]]:
    shapes = result.spec.blocks
    places = [_place(shapes[0], shape, query) for shape in shapes]
    rows: list[dict[str, Any]] = []
    for frame in _all(result):
        maps = frame.attention
        if maps is None:
            rows.append({})
            continue
        rollout = maps.rollout(query=query)
        rows.append(
            {
                "values": pack(
                    torch.cat([m[:, q].flatten() for m, q in zip(maps.maps, places, strict=True)])
                ),
                "scales": pack(
                    torch.cat([s[:, q] for s, q in zip(maps.scales, places, strict=True)]).float()
                ),
                "rollout": None if rollout is None else pack(rollout),
            }
        )
    return rows


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
    frames: list[dict[str, Any]] = []
    for frame in result.frames:
        assert frame.gradients is not None
        read = frame.gradients
        frames.append(
            {
                "variance": table(read.variance),
                "dispersion": table(read.dispersion),
                "kurtosis": table(read.kurtosis),
                "tokens": [pack_rows(block) for block in read.tokens],
            }
        )
    return {"components": ["Attention", "QKV", "MLP"], "frames": frames}


def _gaps(result: Result) -> dict[str, Any]:
    return {
        "frames": [
            {
                "quantiles": table(frame.gaps.quantiles),
                "cancels": table(frame.gaps.cancels),
                "underflows": table(frame.gaps.underflows),
            }
            for frame in _all(result)
            if frame.gaps is not None
        ]
    }


def _outliers(result: Result) -> dict[str, Any]:
    """Peaks from the lowest threshold on offer upwards, exact, so that any count can be made."""
    clean = result.clean.outliers
    assert clean is not None
    set_by = quant_threshold.usual(result.card.name, result.request.weights)
    default = set_by.value if set_by else quant_threshold.PUBLISHED
    floor = min(default, clean.reached_by(SHIPPED))
    return {
        "layers": [{"block": block, "slot": slot} for block, slot in clean.layers],
        "widths": [peak.numel() for peak in clean.columns],
        "lengths": [peak.numel() for peak in clean.tokens],
        "floor": floor,
        "default": default,
        "set_by": set_by
        and {
            "pictures": set_by.pictures,
            "share": number(set_by.share),
            "at_published": number(set_by.at_published),
        },
        "frames": [
            _peaks(frame.outliers, floor) for frame in _all(result) if frame.outliers is not None
        ],
    }


def _peaks(read: OutlierColumns, floor: float) -> dict[str, Any]:
    high = [peak[peak >= floor] for peak in read.columns]
    return {
        "peaks": pack(torch.cat(high).half()),
        "counts": [peak.numel() for peak in high],
        "largest": number(max(float(peak.max()) for peak in read.columns)),
        "tokens": pack(torch.cat(read.tokens).half()),
    }


def _depth(result: Result) -> dict[str, Any]:
    """Divergence from the clean stream, and what the model's own head reads off each block."""
    target = result.request.target
    wanted = [result.label, result.adversarial.top, *([] if target is None else [target])]
    wanted = list(dict.fromkeys(wanted))
    frames: list[dict[str, Any]] = []
    for frame in _all(result):
        read = frame.divergence
        assert read is not None
        frames.append(
            {
                "cosine": table(read.cosine),
                "tokens": [pack_rows(tokens.clamp_min(0)) for tokens in read.tokens],
                "lens": None if frame.lens is None else table(frame.lens[:, wanted]),
            }
        )
    return {
        "lens_classes": [{"index": i, "name": _called(result, i)} for i in wanted],
        "frames": frames,
    }


def _tokens(result: Result) -> dict[str, Any]:
    clean = result.clean.tokens
    assert clean is not None
    return {
        "blocks": list(clean.blocks),
        "total": clean.keep.shape[1],
        "pruner": result.pruner,
        "frames": [
            {
                "keep": pack(frame.tokens.keep.to(torch.uint8)),
                "kept": frame.tokens.kept.tolist(),
                "utilisation": number(frame.tokens.utilisation),
            }
            for frame in _all(result)
            if frame.tokens is not None
        ],
    }
