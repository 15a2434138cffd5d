"""AAS-AT: adversarial training at the same budget, with the attention-scaling step now and then."""

from dataclasses import replace

from engine.train.options import with_scaling
from engine.train.recipes.pgd_at import PGD_AT

AAS_AT = replace(
    with_scaling(PGD_AT, 5),
    name="aas_at",
    model="vit_imagenette_aas_at",
    title="ViT, adversarially trained with attention scaling (AAS-AT, 4/255)",
)
