"""Words that lessons explain in place, each in one or two plain sentences."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "8-bit picture": "A picture as a file holds it: each number is one of 256 whole levels, from 0 to 255. What lies between two levels is rounded when it is saved.",
    "attack": "A search for a small change of a picture with which a model does what the attacker wants, as giving another answer.",
    "eps": "The budget of an attack, ε: no number of the picture may change by more. 4/255 is four of the 256 grey levels.",
    "gradient": "For every number of the picture: how fast the model’s error grows when that number does. Its sign says which way to go.",
    "grey level": "One of the 256 steps from dark to bright that a picture of 8 bits knows for each colour of a pixel.",
    "Linf": "The size of a change, measured as its largest entry (L∞). It does not say how many entries there are, nor what an eye sees.",
    "logit": "The raw score that a model gives a class, before softmax makes shares of 100 % of all of them.",
    "MI-FGSM": "An attack that goes uphill in small steps by the sign of the gradient, with a memory of earlier directions (momentum).",
    "noise control": "Random noise of the same size as the attack: each number goes up or down by the whole budget, as a coin falls. An attack must do more than that.",
    "PGD": "Projected gradient descent: an attack that starts at a random place in the budget and follows the sign of the gradient, without a memory.",
    "robust": "Robust to a budget on a picture: no change within that budget fools the model. An attack can refute it, never prove it.",
    "softmax": "Turns a list of scores into shares that add up to 100 %: each score’s exponential, divided by the sum of them all.",
    "targeted attack": "An attack that wants one particular wrong answer, instead of any.",
}
