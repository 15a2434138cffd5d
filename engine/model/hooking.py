"""Scoped hooks: each function is a context manager that leaves the module as it was."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def on_output(module: nn.Module, edit: Callable[[Tensor], Tensor]) -> Generator[None]:
    """Pass the module's output through `edit`."""

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return edit(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def on_input(module: nn.Module, edit: Callable[[Tensor], Tensor]) -> Generator[None]:
    """Pass the module's first input through `edit`."""

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (edit(inputs[0]), *inputs[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def new_forward(module: nn.Module, forward: Callable[..., Tensor]) -> Generator[None]:
    """Run `forward` instead of the module's own."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
