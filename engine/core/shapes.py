"""Names for the tensors that cross borders. b batch, n tokens (prefix included), h heads, d width.

The letters mean the same everywhere in `engine/`, and within one call a letter is one number: what
goes in and what comes out agree on b. The tests check every call (`tests/conftest.py`); here they
are only annotations. `Labels` are int64 class numbers, `Images` pixels in [0, 1].
"""

from typing import TypeAlias

from jaxtyping import Float, Int64, Real
from torch import Tensor

Images: TypeAlias = Float[Tensor, "b 3 y x"]
Labels: TypeAlias = Int64[Tensor, " b"]
PerExample: TypeAlias = Real[Tensor, " b"]
Logits: TypeAlias = Float[Tensor, "b k"]
