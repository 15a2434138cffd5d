"""AAS-AT: adversarial training at the same budget, with the attention-scaling step now and then."""

from dataclasses import replace

from engine.train.adversarial import ScaledRobust
from engine.train.recipes.pgd_at import METHOD, PGD_AT

AAS_AT = replace(
    PGD_AT,
    name="aas_at",
    model="vit_imagenette_aas_at",
    title="ViT, adversarially trained with attention scaling (AAS-AT, 4/255)",
    method=ScaledRobust(METHOD, gap=5, batches=8, pull=0.1),
)
