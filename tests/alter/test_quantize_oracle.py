"""bitsandbytes itself as oracle, where somebody has installed it: it is no dependency."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.alter.quantize.bitsandbytes import BitsAndBytes, swapped
from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.linear import Int8Linear, Work
from engine.alter.quantize.peaks import Peaks
from engine.alter.quantize.schemes import Mixed
from tests.tiny import task, victim

bitsandbytes = pytest.importorskip("bitsandbytes")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("shape", [(1, 64, 32), (5, 192, 64), (33, 100, 50), (197, 768, 192)])
@pytest.mark.parametrize("threshold", [6.0, 6.01, 2.3, 0.0])
def test_16_same_columns_same_weights_same_numbers(shape: tuple[int, int, int], threshold: float):
    m, k, n = shape
    gen = torch.Generator().manual_seed(0)
    linear = nn.Linear(k, n)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(n, k, generator=gen) / k**0.5)
    x = torch.randn(m, k, generator=gen)
    x[:, 3] *= 6
    x[0, 5:9] = torch.tensor([5.9981, 6.0, 6.0078, 6.01])
    if m > 1:
        x[1] = 0
    theirs = bitsandbytes.nn.Linear8bitLt(k, n, has_fp16_weights=False, threshold=threshold)
    theirs.load_state_dict(linear.state_dict())
    theirs = theirs.to("cpu").eval()  # only .to() quantises
    mine = Int8Linear(linear, Mixed(threshold))
    done: list[Work] = []
    mine.report = done.append
    with torch.no_grad():
        a, b = theirs(x), mine(x)
    columns = theirs.state.idx
    expected = [] if columns is None else sorted(columns.tolist())
    assert done[0].columns.tolist() == expected
    assert torch.equal(theirs.weight.data, mine.weight)
    # bitsandbytes multiplies by 6.200124e-05, which is 1 / 127^2 (1 + 1.8e-5)
    torch.testing.assert_close(b, a, rtol=0, atol=3e-5 * float(a.abs().max()))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_16_a_whole_victim_of_its_layers_answers_and_counts_as_ours_does(threshold: float):
    source = victim()
    source.module.float()
    x = task(1).images.float()
    theirs, ours = swapped(source, threshold), Int8(threshold)(source)
    with torch.no_grad():
        a, b = theirs.logits(x), ours.logits(x)
    torch.testing.assert_close(b, a, rtol=0, atol=2e-2 * float(a.abs().max()))
    assert Peaks.of(theirs, x).total(2.0) == Peaks.of(ours, x).total(2.0)


@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_16_on_cuda_its_layers_are_the_victim():
    source = victim()
    source.module.float().cuda()
    made = BitsAndBytes(2.0)(type(source)(source.spec, source.module, source.family))
    x = task(1).images.float().cuda()
    ours = Int8(2.0)(type(source)(source.spec, source.module, source.family))
    with torch.no_grad():
        a, b = made.logits(x), ours.logits(x)
    torch.testing.assert_close(b, a, rtol=0, atol=2e-2 * float(a.abs().max()))
