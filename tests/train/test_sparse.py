from __future__ import annotations

import pytest
import torch
from small_training import SIZE, small_vit

from engine.core.streams import Streams
from engine.model.sparse import SparseViT
from engine.train import sparse
from engine.train.network import Network
from engine.train.pictures import Pictures
from engine.train.recipe import HALF, Method, Target, Turn

PONDER = sparse.Ponder(ponder=0.1, prior=0.1, prior_block=2.0)
USAGE = sparse.Usage(tokens=0.5, heads=0.5, sublayers=0.5, weight=2.0, sampled=0.5)


def network(method: Method) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(method.wrap(small_vit("small_vit")), HALF, HALF)


def loss(net: Network, method: Method, progress: float = 0.9) -> torch.Tensor:
    images = torch.rand(4, 3, SIZE, SIZE, generator=Streams(0).at("pixels"))
    labels = torch.eye(2)[[0, 1, 0, 1]]
    return method.loss(
        net, images, Target(labels, labels, labels), Turn(0, 0, progress, Streams(0))
    )


@pytest.mark.parametrize("method", [PONDER, USAGE], ids=["avit", "adavit"])
def test_the_price_of_work_has_a_gradient_from_the_first_step(method: Method):
    net = network(method)
    loss(net, method).backward()
    assert isinstance(net.body, SparseViT)
    if method is PONDER:
        bias = net.body.backbone.blocks[0].mlp.fc2.bias.grad
        assert bias[0] != 0
    else:
        assert all(
            p.grad.abs().sum() > 0 for n, p in net.named_parameters() if n.endswith("token.bias")
        )


def test_the_divergence_vanishes_at_the_prior_and_only_there():
    blocks = torch.arange(1, 6)
    prior = torch.softmax(-((blocks - 2.0) ** 2) / 2, 0).view(-1, 1, 1).expand(-1, 3, 7)
    # Scores are clamped to [.01, .99] after normalisation; the last block's share is just below.
    assert abs(float(PONDER.divergence(prior))) < 5e-3
    assert PONDER.divergence(torch.ones(5, 3, 7)) > 0.1


def test_sampling_ends_when_it_should():
    net = network(USAGE)
    early = [float(loss(net, USAGE, progress=0.0).detach()) for _ in range(2)]
    assert early[0] == early[1]  # the noise is a function of the moment
    with torch.no_grad():
        evaluated = net.body.trace(net.normalise(torch.rand(1, 3, SIZE, SIZE)))[1]
    assert evaluated.keep.all()  # biases start on
    assert float(loss(net, USAGE, progress=0.6).detach()) != early[0]


@pytest.mark.parametrize("method", [PONDER, USAGE], ids=["avit", "adavit"])
def test_the_card_tells_constants_and_cost(method: Method):
    net = network(method).eval()
    images = torch.randint(0, 256, (6, 3, SIZE, SIZE), dtype=torch.uint8)
    card = method.card(net, Pictures(images, torch.zeros(6, dtype=torch.long)))
    assert card["sparsifier"]["kind"] in ("avit", "adavit")
    measured = card["measured"]
    assert 0 < measured["token_utilisation"] <= 1
    assert 0 < measured["gmacs"] <= 1.05 * measured["base_gmacs"] + 1e-4
