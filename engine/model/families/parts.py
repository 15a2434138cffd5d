"""What the adapters share: where a module is tapped, and how its values are shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import Tensor, nn

from engine.model.hooking import on_input, on_output
from engine.model.sites import Site
from engine.model.victim import Tap

Layout = Callable[[Tap, Site, int, Tensor, str], Tensor]
"""How a value is shown to the tap: as it is, or as tokens."""


def as_is(tap: Tap, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
    return tap(site, block, x, slot)


def planes(tap: Tap, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
    """A feature map (b, c, y, x), shown as tokens (b, y x, c).

    What flows on is a copy: ResNets add to it in place, and autograd would lead around a view.
    """
    shown = tap(site, block, x.flatten(2).transpose(1, 2), slot)
    return shown.transpose(1, 2).reshape(x.shape).clone()


def grid(tap: Tap, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
    """A grid of tokens (b, y, x, c), shown as (b, y x, c)."""
    return tap(site, block, x.flatten(1, 2), slot).reshape(x.shape)


class Taps:
    """Puts the taps of one block; places that nobody needs stay untouched."""

    def __init__(self, tap: Tap, stack: ExitStack, block: int, layout: Layout = as_is) -> None:
        self.tap, self.stack, self.block, self.layout = tap, stack, block, layout

    def output(self, module: nn.Module, site: Site, layout: Layout | None = None) -> None:
        """Tap what the module returns."""
        if site in self.tap.need:
            self.stack.enter_context(on_output(module, self._edit(site, "", layout)))

    def inputs(self, linears: dict[str, nn.Module]) -> None:
        """Tap what each linear layer reads (LINEAR_IN), by slot."""
        if Site.LINEAR_IN in self.tap.need:
            for slot, linear in linears.items():
                self.stack.enter_context(on_input(linear, self._edit(Site.LINEAR_IN, slot, None)))

    def _edit(self, site: Site, slot: str, layout: Layout | None) -> Callable[[Tensor], Tensor]:
        return partial(_show, layout or self.layout, self.tap, site, self.block, slot)


def _show(layout: Layout, tap: Tap, site: Site, block: int, slot: str, x: Tensor) -> Tensor:
    return layout(tap, site, block, x, slot)


def linears(block: Any) -> dict[str, nn.Module]:
    """The linear layers of a block with timm's usual names, by slot."""
    attn, mlp = block.attn, block.mlp
    return {"qkv": attn.qkv, "proj": attn.proj, "fc1": mlp.fc1, "fc2": mlp.fc2}
