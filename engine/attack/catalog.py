"""The attacks, in display order. A newcomer adds one file in `recipes/` and one line here."""

from __future__ import annotations

from engine.attack.recipe import Recipe
from engine.attack.recipes.apgd import AutoPGD
from engine.attack.recipes.att import ATT
from engine.attack.recipes.autoattack import AutoAttack
from engine.attack.recipes.autoattack_quick import AutoAttackQuick
from engine.attack.recipes.cw import CW
from engine.attack.recipes.cw_l2 import CWL2
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.dim import DIM
from engine.attack.recipes.dlr import PGDOnDLR
from engine.attack.recipes.fab import FAB
from engine.attack.recipes.feature import FeaturePGD
from engine.attack.recipes.fgsm import FGSM
from engine.attack.recipes.fpr import FPR
from engine.attack.recipes.gama_fw import GamaFW
from engine.attack.recipes.gama_pgd import GamaPGD
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.nifgsm import NIFGSM
from engine.attack.recipes.patchout import PNAPatchOut
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.pna import PNA
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.recipes.sgm import SGM
from engine.attack.recipes.sim import SIM
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.recipes.sponge import Sponge
from engine.attack.recipes.square import SquareAttack
from engine.attack.recipes.tgr import TGR
from engine.attack.recipes.tgr_factors import TGRFactors
from engine.attack.recipes.tgr_patchout import TGRPatchOut
from engine.attack.recipes.tim import TIM
from engine.attack.recipes.vmi import VMI
from engine.core.errors import UnknownName
from engine.core.knobs import knobs, typed, words

RECIPES: tuple[type[Recipe], ...] = (
    TGR,
    MIFGSM,
    PGD,
    AutoPGD,
    FAB,
    SquareAttack,
    AutoAttackQuick,
    AutoAttack,
    CW,
    CWL2,
    PGDOnDLR,
    GamaPGD,
    GamaFW,
    FGSM,
    PNA,
    SGM,
    PNAPatchOut,
    TGRPatchOut,
    TGRFactors,
    ATT,
    FPR,
    VMI,
    NIFGSM,
    SIM,
    DIM,
    TIM,
    QuantAttack,
    Sponge,
    DeSparsify,
    SlowFormer,
    FeaturePGD,
)
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def recipe(name: str, /, **values: object) -> Recipe:
    """The recipe of that name with the given knobs; raises UnknownName or BadKnob."""
    if name not in BY_NAME:
        raise UnknownName("attack", name, tuple(BY_NAME))
    kind = BY_NAME[name]
    known = {each.name for each in knobs(kind)}
    for key in values:
        if key not in known:
            raise UnknownName(f"knob of {name}", key, tuple(sorted(known)))
    return kind(**values)  # pyright: ignore[reportArgumentType]


def parse(name: str, settings: dict[str, str]) -> Recipe:
    """The recipe of that name with knobs as typed words, such as `eps=8/255`."""
    if name not in BY_NAME:
        raise UnknownName("attack", name, tuple(BY_NAME))
    return typed(BY_NAME[name], name, settings)


def spell(chosen: Recipe) -> dict[str, str]:
    """Every knob as the word a person would type; `parse` makes of them the very same recipe."""
    return words(chosen)
