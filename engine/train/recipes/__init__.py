"""Every recipe of the bundled zoo, in the order in which they build on each other."""

from engine.train.recipe import Recipe
from engine.train.recipes.aas_at import AAS_AT
from engine.train.recipes.adavit import ADAVIT
from engine.train.recipes.avit import AVIT
from engine.train.recipes.awp import PGD_AT_AWP, TRADES_AWP
from engine.train.recipes.deit import DEIT
from engine.train.recipes.mart import MART
from engine.train.recipes.pgd_at import PGD_AT
from engine.train.recipes.pit import PIT
from engine.train.recipes.resnet import RESNET
from engine.train.recipes.saturated import SATURATED
from engine.train.recipes.tiny_at import TINY_AT
from engine.train.recipes.trades import TRADES
from engine.train.recipes.visformer import VISFORMER
from engine.train.recipes.vit import VIT

_IN_ORDER = (
    VIT,
    RESNET,
    DEIT,
    PIT,
    VISFORMER,
    SATURATED,
    AVIT,
    ADAVIT,
    PGD_AT,
    AAS_AT,
    TRADES,
    MART,
    PGD_AT_AWP,
    TRADES_AWP,
    TINY_AT,
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _IN_ORDER}
