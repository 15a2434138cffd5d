"""Names for the tensors that cross borders. b batch, n tokens (prefix included), h heads, d width.

The letters mean the same everywhere in `engine/`:
`Images` (b, 3, y, x) float pixels in [0, 1]; `Labels` (b,) int64; `PerExample` (b,) float;
`Logits` (b, k) float.
"""

from typing import TypeAlias

from torch import Tensor

Images: TypeAlias = Tensor
Labels: TypeAlias = Tensor
PerExample: TypeAlias = Tensor
Logits: TypeAlias = Tensor
