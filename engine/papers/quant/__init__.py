"""QuantAttack (WACV 2025): claims, the cost of one picture, the study that ships."""
