"""Where gradient rules of the TGR family act, block by block, as published and in principle."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.attack.rule import Only
from engine.model.sites import Address, Rule, Site
from engine.model.victim import Spec

Component = Literal["attention", "qkv", "mlp"]
COMPONENTS: tuple[Component, ...] = ("attention", "qkv", "mlp")


class Place(NamedTuple):
    """A site, where not everywhere the blocks and slots, and what is compared with what there.

    tokens: tokens per channel (b, n, c); pairs: cells per head (b, h, n, m); heads: heads per key
    token of a single query (b, h, 1, m); one: a single token, with which nothing compares.
    """

    site: Site
    compares: Literal["tokens", "pairs", "heads", "one"]
    blocks: frozenset[int] | None = None
    slots: frozenset[str] | None = None

    def holds(self, at: Address) -> bool:
        """Whether an address belongs to this place."""
        return (
            at.site is self.site
            and (self.blocks is None or at.block in self.blocks)
            and (self.slots is None or at.slot in self.slots)
        )

    def confine(self, rule: Rule) -> Rule:
        """The rule at this place only."""
        everywhere = self.blocks is None and self.slots is None
        return rule if everywhere else Only(rule, self.blocks, self.slots)


def places(
    spec: Spec, component: Component, *, site: Site = Site.SCORES, principled: bool = False
) -> tuple[Place, ...]:
    """The places of a component in a victim, whether or not it has them: a session will tell.

    On ViT, DeiT, PiT, BEiT and Swin: the scores (or, by `site`, the map), the QKV output, the MLP
    output. The published hooks touch other tensors on two families (spec 1.3), kept as they are
    unless `principled` (or in an ensemble, which was not published):
    - CaiT. Patch blocks: the map, after the heads have mixed. Class attention: of its blocks only
      the last; scores with heads and tokens swapped; k and v; an MLP output of one token, whose
      gradient thereby vanishes. In principle: scores and MLP of every block, one token only scaled.
    - Visformer. The *input* of the qkv convolution and of the MLP's last convolution.
    """
    published = spec.family in ("cait", "visformer") and not principled
    if published and spec.family == "visformer" and component != "attention":
        slot = {"qkv": "qkv", "mlp": "fc2"}[component]
        return (Place(Site.LINEAR_IN, "tokens", slots=frozenset({slot})),)
    usual: dict[Component, Place] = {
        "attention": Place(site, "pairs"),
        "qkv": Place(Site.QKV, "tokens"),
        "mlp": Place(Site.MLP_OUT, "tokens"),
    }
    place = usual[component]
    classes = frozenset(i for i, block in enumerate(spec.blocks) if block.queries == 1)
    if not classes:
        return (place,)
    patches, last = frozenset(range(spec.depth)) - classes, frozenset({max(classes)})
    if not published:
        one = Place(place.site, "one", classes, frozenset({"q"}) if component == "qkv" else None)
        return {
            "attention": (place,),
            "qkv": (place._replace(slots=frozenset({"", "k", "v"})), one),
            "mlp": (place._replace(blocks=patches), one),
        }[component]
    return {
        "attention": (Place(Site.ATTN, "pairs", patches), Place(Site.SCORES, "heads", last)),
        "qkv": (
            place._replace(blocks=patches),
            Place(Site.QKV, "tokens", last, frozenset({"k", "v"})),
        ),
        "mlp": (place._replace(blocks=patches | last),),
    }[component]
