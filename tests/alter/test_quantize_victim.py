"""Laws of int8 victims, of counting, of cost and of countermeasures (spec C7 A 1, 6, 7, 11-15)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.alter.quantize.cost import Prices, cost
from engine.alter.quantize.int8 import Int8, NetBudget, StaticInt8, collect
from engine.alter.quantize.linear import Int8Linear, Int8Pointwise
from engine.alter.quantize.peaks import Peaks, projections
from engine.alter.quantize.rescale import Magnify, SmoothQuant
from engine.alter.quantize.schemes import Mixed
from engine.core.errors import BadKnob, BadStack, EngineError, UnsupportedModel
from engine.model.sites import Site
from engine.model.victim import Victim
from tests.tiny import task, victim

TRANSFORMERS = (
    "vit",
    "vit_gap",
    "vit_qk_norm_layer_scale",
    "deit_distilled",
    "pit",
    "cait",
    "swin",
    "visformer",
)
everywhere = pytest.mark.parametrize("model", TRANSFORMERS)
IMAGES = task(4).images
SHARE = 0.05


def few(source: Victim) -> float:
    """A threshold at which about SHARE of the columns are outliers."""
    return Peaks.of(source, IMAGES).threshold_for(SHARE)


def logits(source: Victim, images: torch.Tensor = IMAGES) -> torch.Tensor:
    with torch.no_grad():
        return source.logits(images)


@everywhere
def test_every_family_runs_in_int8_and_the_source_stays_as_it_was(model: str):
    source = victim(model)
    before = {name: value.clone() for name, value in source.module.state_dict().items()}
    truth = logits(source)
    made = Int8(few(source))(source)
    layers = [part for part in made.module.modules() if isinstance(part, Int8Linear)]
    assert len(layers) == len(projections(source.module))
    assert not [part for part in source.module.modules() if isinstance(part, Int8Linear)]
    after = source.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(logits(source), truth)
    assert not torch.equal(logits(made), truth)
    # about 1 % per layer; these nets have at most 16 of them
    torch.testing.assert_close(logits(made), truth, rtol=0, atol=0.1 * float(truth.abs().max()))
    assert type(made.module.get_classifier()) is type(source.module.get_classifier())  # pyright: ignore


@everywhere
def test_columns_are_those_of_the_named_sites(model: str):
    source = victim(model)
    t = few(source)
    with torch.no_grad(), source.session(observe=[Site.LINEAR_IN]) as forward:
        seen = forward(IMAGES).seen
    from_sites = torch.zeros(len(IMAGES), dtype=torch.long)
    for x in seen.values():
        rows = x.reshape(len(IMAGES), -1, x.shape[-1]).half()
        from_sites += (rows.abs() >= torch.tensor(t).half()).any(1).sum(1)
    peaks = Peaks.of(source, IMAGES)
    assert len(seen) == len(peaks.columns)
    assert torch.equal(peaks.total(t), from_sites)
    assert bool((from_sites > 0).any())


@everywhere
def test_an_int8_victim_does_what_counting_predicts(model: str):
    source = victim(model)
    t = few(source)
    made = Int8(t)(source)
    predicted = Peaks.of(made, IMAGES).work(t)
    with torch.no_grad(), collect(made) as done:
        made.logits(IMAGES)
    assert done.keys() == predicted.keys()
    for path, work in done.items():
        assert work[:3] == predicted[path][:3]
        assert torch.equal(work.columns, predicted[path].columns)
    assert all(layer.report is None for layer in _layers(made))


@everywhere
def test_sessions_and_gradients_go_through_an_int8_victim(model: str):
    source = victim(model)
    made = Int8(few(source))(source)

    def slope(of: Victim) -> torch.Tensor:
        with of.session(observe=[Site.LINEAR_IN, Site.SCORES], gradients=[Site.LINEAR_IN]) as run:
            x = IMAGES.clone().requires_grad_()
            out = run(x)
            (g,) = torch.autograd.grad(out.logits.square().sum(), x)
        assert out.grads.keys() == {at for at in out.seen if at.site is Site.LINEAR_IN}
        return g.flatten()

    assert float(torch.cosine_similarity(slope(source), slope(made), 0)) > 0.9


def test_1_counts_fall_with_the_threshold():
    peaks = Peaks.of(victim(), IMAGES)
    totals = torch.stack([peaks.total(t) for t in (1e-6, 0.3, 1, 2, 4, 1e4)])
    assert bool((totals.diff(dim=0) <= 0).all())
    nonzero = sum(int((peak > 0).sum()) for peak in peaks.columns.values())
    assert int(totals[0].sum()) == nonzero
    assert int(totals[-1].sum()) == 0
    assert int(peaks.total(0).sum()) == 0  # 0 is off, as in bitsandbytes


def test_2_without_decomposition_the_work_does_not_depend_on_the_input():
    made = Int8(0.0)(victim())
    for images in (IMAGES, torch.rand_like(IMAGES), torch.zeros_like(IMAGES)):
        with torch.no_grad(), collect(made) as done:
            made.logits(images)
        assert cost(done.values()).macs16 == 0


@everywhere
def test_6_7_a_batch_has_the_union_of_its_pictures_columns_in_any_order(model: str):
    source = victim(model)
    t = few(source)

    def columns(images: torch.Tensor) -> dict[str, set[int]]:
        work = Peaks.of(source, images).work(t)
        return {path: set(each.columns.tolist()) for path, each in work.items()}

    alone = [columns(IMAGES[i : i + 1]) for i in range(len(IMAGES))]
    together = columns(IMAGES)
    assert together == {path: set.union(*(each[path] for each in alone)) for path in together}
    assert columns(IMAGES[[2, 0, 3, 1]]) == together
    merged = Peaks.of(source, IMAGES).together()
    assert int(merged.total(t)) == sum(map(len, together.values()))


def test_8_a_batch_mate_changes_ones_logits_within_the_int8_error():
    source = victim()
    made = Int8(few(source))(source)
    alone, beside = logits(made, IMAGES[:1]), logits(made)[:1]
    assert not torch.equal(alone, beside)
    off = float((logits(made) - logits(source)).abs().max())
    assert float((alone - beside).abs().max()) < 3 * off  # both are about `off` from the truth


@pytest.mark.parametrize("model", [each for each in TRANSFORMERS if each != "visformer"])
def test_11_rescaling_keeps_the_float_function_and_moves_the_threshold(model: str):
    source = victim(model)
    big = Magnify(4.0)(source)
    torch.testing.assert_close(logits(big), logits(source), rtol=1e-9, atol=1e-9)  # float64
    before, after = (Peaks.of(each, IMAGES) for each in (source, big))
    # Powers of two, so that float16 rounds x and 4 x alike.
    behind = [path for path in before.columns if path.rpartition(".")[2] in {"qkv", "fc1"}]
    for t in (0.5, 1.0, 2.0):
        old, new = before.counts(t), after.counts(4 * t)
        assert all(torch.equal(old[path], new[path]) for path in behind)
        rest = before.columns.keys() - set(behind) - {p for p in before.columns if "attn" in p}
        assert all(torch.equal(old[path], after.counts(t)[path]) for path in rest)


def test_13_layer_budgets_bound_every_layer():
    source = victim()
    t = few(source) / 4
    free = Int8(t)(source)
    for rho in (0.0, 0.1, 0.5, 1.0):
        made = Int8(t, budget=rho)(source)
        with torch.no_grad(), collect(made) as done:
            y = made.logits(IMAGES)
        assert all(len(work.columns) <= math.floor(rho * work.k) for work in done.values())
        if rho == 1:
            assert torch.equal(y, logits(free))
    assert torch.equal(logits(Int8(t, budget=0.0)(source)), logits(Int8(0.0)(source)))


def test_13_a_net_budget_bounds_the_net_for_any_input():
    source = victim()
    t = few(source)
    loud = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double().round()
    spent: list[float] = []
    for share in (0.0, 0.01, 0.03, 1.0):
        made = NetBudget(IMAGES, t, share)(source)
        shares: list[float] = []
        for images in (IMAGES, loud):
            with torch.no_grad(), collect(made) as done:
                made.logits(images)
            shares.append(cost(done.values()).share)
        assert max(shares) <= share
        spent.append(shares[0])
    assert spent[0] == 0 < spent[1] < spent[2] <= spent[3]


class Multiplications(TorchDispatchMode):
    """Counts m k n of every matrix product that really runs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "_int_mm", "addmm", "addmm_"):
            a, b = args[-2:]
            self.count += a.shape[0] * a.shape[1] * b.shape[1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("product", ["all columns", "compact"])
def test_14_counted_multiplications_equal_the_formula(product: str):
    source = victim()
    made = Int8(few(source), product)(source)
    compact = product == "compact"
    inputs: dict[str, torch.Tensor] = {}
    with torch.no_grad(), collect(made) as done:
        handles = [
            layer.register_forward_pre_hook(_remember(inputs, path))
            for path, layer in made.module.named_modules()
            if isinstance(layer, Int8Linear)
        ]
        made.logits(IMAGES)
    for handle in handles:
        handle.remove()
    with torch.no_grad(), Multiplications() as counter:
        for path, x in inputs.items():
            made.module.get_submodule(path)(x)
    expected = cost(done.values(), compact=compact)
    assert counter.count == expected.macs8 + expected.macs16
    assert expected.macs16 > 0
    assert (expected.macs8 == expected.all_macs) is not compact
    assert expected.energy(Prices(1.0, 2.0)) == expected.macs8 + 2 * expected.macs16


def test_14_the_share_of_one_picture_is_the_cost_of_it_alone():
    source = victim("pit")  # stages differ in tokens and widths
    t = few(source)
    peaks = Peaks.of(source, IMAGES)
    for i, share in enumerate(peaks.mac_share(t).tolist()):
        alone = cost(Peaks.of(source, IMAGES[i : i + 1]).work(t).values())
        assert alone.share == pytest.approx(share, rel=1e-6)
        assert alone.columns == int(peaks.total(t)[i])


def test_15_the_hugging_face_count_has_qkv_three_times():
    peaks = Peaks.of(victim(), IMAGES)
    t = peaks.threshold_for(SHARE)
    qkv = sum(count for path, count in peaks.counts(t).items() if path.endswith("qkv"))
    assert bool((qkv > 0).any())
    assert torch.equal(peaks.hf_equivalent(t), peaks.total(t) + 2 * qkv)


def test_the_calibrated_threshold_has_the_share_asked_for():
    peaks = Peaks.of(victim(), IMAGES)
    columns = sum(peak.shape[1] for peak in peaks.columns.values())
    for share in (0.005, 0.05, 0.5):
        found = float(peaks.total(peaks.threshold_for(share)).float().mean()) / columns
        assert found == pytest.approx(share, abs=2 / columns)


def test_static_and_smoothed_victims_answer_like_the_float_one():
    source = victim()
    truth = logits(source)
    smooth = SmoothQuant(IMAGES, 0.5)(source)
    torch.testing.assert_close(logits(smooth), truth, rtol=1e-9, atol=1e-9)  # float64
    behind = [path for path in projections(source.module) if path.endswith(("qkv", "fc1"))]
    for path in behind:
        before, after = (Peaks.of(each, IMAGES).columns[path].amax(0) for each in (source, smooth))
        # With alpha 1/2 inputs and weights share the spread, so that inputs are left with less.
        assert float(after.max() / after.min()) < float(before.max() / before.min())
    for made in (StaticInt8(IMAGES)(source), Int8(0.0)(smooth)):
        gap = float((logits(made) - truth).norm() / truth.norm())
        assert gap < 0.1


def test_clipping_leaves_no_column_outside():
    source = victim()
    t = few(source)
    made = Int8(t, clip=t * 0.99)(source)
    with torch.no_grad(), collect(made) as done:
        made.logits(IMAGES)
    assert cost(done.values()).columns == 0


@pytest.mark.parametrize("model", ["resnet", "beit"])
def test_models_that_cannot_run_in_int8_say_so(model: str):
    with pytest.raises(UnsupportedModel):
        Int8()(victim(model))


def test_a_1x1_convolution_is_the_linear_layer_that_it_is():
    gen = torch.Generator().manual_seed(0)
    conv, linear = nn.Conv2d(6, 5, 1), nn.Linear(6, 5)
    linear.load_state_dict({"weight": conv.weight[:, :, 0, 0].clone(), "bias": conv.bias})
    x = 3 * torch.randn(2, 6, 4, 3, generator=gen)
    for compact in (False, True):
        mapped = Int8Pointwise(conv, Mixed(4.0), compact=compact)
        flat = Int8Linear(linear, Mixed(4.0), compact=compact)
        with torch.no_grad():
            rows = flat(x.permute(0, 2, 3, 1).reshape(-1, 6)).view(2, 4, 3, 5)
            assert torch.equal(mapped(x), rows.permute(0, 3, 1, 2))


def test_the_columns_of_visformer_are_those_that_the_lab_sees():
    source = victim("visformer")
    found = Peaks.of(source, IMAGES).columns
    with torch.no_grad(), source.session(observe={Site.LINEAR_IN}) as forward:
        seen = forward(IMAGES).seen
    assert [len(peak[0]) for peak in found.values()] == [x.shape[-1] for x in seen.values()]
    for peak, x in zip(found.values(), seen.values(), strict=True):
        assert torch.equal(peak, x.abs().amax(1).half().float())


def test_int8_twice_counting_in_float_and_bad_knobs_are_refused():
    source = victim()
    with pytest.raises(BadStack, match=r"vit has LLM\.int8 already"):
        source | Int8() | Int8(4.0)
    with pytest.raises(UnsupportedModel, match="int8 already"):
        source | StaticInt8(IMAGES) | Int8()
    with pytest.raises(EngineError), collect(source):
        pass
    for bad in ({"threshold": -1.0}, {"budget": 1.5}, {"product": "fast"}):
        with pytest.raises(BadKnob):
            Int8(**bad)  # pyright: ignore


def _layers(of: Victim) -> list[Int8Linear]:
    return [part for part in of.module.modules() if isinstance(part, Int8Linear)]


def _remember(kept: dict[str, torch.Tensor], path: str) -> Callable[..., None]:
    def hook(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        kept[path] = inputs[0]

    return hook
