# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The 15 visemes of Oculus: which mixture of them comes nearest to the mouth.

Each viseme is a mouth of our 27 shapes; the weights are the non-negative least squares solution
with a small price on each viseme, so that few of them explain a mouth.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.frames import Weights
from avatar_bridge.mappings.layouts import Layout, Pose, Shapes
from avatar_bridge.rig import INDEX, MOUTH, NAMES

#: The mouth of each viseme, from where the sound is made; a name without its side means both.
MOUTHS: Final[dict[str, dict[str, float]]] = {
    'PP': {'mouthPress': 0.45, 'mouthRollLower': 0.3, 'mouthRollUpper': 0.25, 'mouthClose': 0.1,
           'jawOpen': 0.1},
    'FF': {'mouthRollLower': 0.45, 'mouthShrugLower': 0.2, 'mouthUpperUp': 0.3, 'jawOpen': 0.06},
    'TH': {'tongueOut': 0.7, 'jawOpen': 0.15, 'mouthLowerDown': 0.2, 'mouthUpperUp': 0.1},
    'DD': {'jawOpen': 0.2, 'mouthLowerDown': 0.2, 'mouthUpperUp': 0.2, 'tongueOut': 0.1},
    'kk': {'jawOpen': 0.3, 'mouthLowerDown': 0.15, 'mouthDimple': 0.2},
    'CH': {'mouthFunnel': 0.65, 'mouthUpperUp': 0.25, 'mouthLowerDown': 0.2, 'jawForward': 0.1},
    'SS': {'mouthStretch': 0.3, 'mouthLowerDown': 0.35, 'mouthUpperUp': 0.15, 'jawForward': 0.15},
    'nn': {'jawOpen': 0.2, 'tongueOut': 0.35, 'mouthStretch': 0.25},
    'RR': {'mouthPucker': 0.35, 'mouthFunnel': 0.2, 'mouthShrugUpper': 0.2, 'jawOpen': 0.2},
    'aa': {'jawOpen': 0.65, 'mouthLowerDown': 0.15, 'mouthUpperUp': 0.1},
    'E': {'jawOpen': 0.4, 'mouthStretch': 0.3, 'mouthDimple': 0.2, 'mouthLowerDown': 0.1},
    'I': {'jawOpen': 0.15, 'mouthStretch': 0.35, 'mouthSmile': 0.4, 'mouthUpperUp': 0.1},
    'O': {'jawOpen': 0.42, 'mouthFunnel': 0.6, 'mouthPucker': 0.35},
    'U': {'jawOpen': 0.1, 'mouthFunnel': 0.3, 'mouthPucker': 0.85},
}
#: In the order of Oculus; silence is what no mouth explains.
VISEMES: Final = ('sil', *MOUTHS)
PRICE: Final = 0.01                 # of a viseme, in squared weights
RIDGE: Final = 0.001                # some mouths are almost mixtures of others
LEAST: Final = 1e-9                 # a gain below this is rounding

#: What VSeeFace calls them.
VSEEFACE_NAMES: Final = {name: name.upper() for name in VISEMES} | {'aa': 'A'}

Array = NDArray[np.float64]


def _mouth(recipe: dict[str, float]) -> Array:
    """Return (27,) weights of a viseme's mouth."""
    weights = np.zeros(len(NAMES))
    for name, weight in recipe.items():
        for place in (name, f'{name}Left', f'{name}Right'):
            if place in INDEX:
                weights[INDEX[place]] = weight
    return weights[list(MOUTH)]


_MOUTHS = np.stack([_mouth(recipe) for recipe in MOUTHS.values()])      # (14, 27)
_GRAM = _MOUTHS @ _MOUTHS.T + RIDGE * np.eye(len(_MOUTHS))


def visemes(weights: Weights) -> Weights:
    """Return (15,) visemes of (52,) weights, in the order of `VISEMES`; they sum to 1."""
    mouth = weights[list(MOUTH)].astype(float)
    spoken = nonnegative(_GRAM, _MOUTHS @ mouth - PRICE)
    spoken /= max(1.0, spoken.sum())            # they add up on a face
    return np.concatenate([[1 - spoken.sum()], spoken]).astype(np.float32)


def nonnegative(gram: Array, target: Array) -> Array:
    """
    Return the w >= 0 with the least w G w / 2 - t w, for (n, n) G and (n,) t: an active set.

    As Lawson and Hanson have it: free the variable that gains most, solve for the free ones, and
    bind again those that would become negative.
    """
    solution = np.zeros(len(target))
    free = np.zeros(len(target), bool)
    for _ in range(3 * len(target)):            # far more than it takes; rounding may not end
        gain = np.where(free, 0.0, target - gram @ solution)
        if gain.max() <= LEAST:
            break
        free[gain.argmax()] = True
        _settle(gram, target, solution, free)
    return solution


def _settle(gram: Array, target: Array, solution: Array, free: NDArray[np.bool_]) -> None:
    """Solve for the free variables in place; those that come to zero are free no more."""
    while free.any():
        places = np.flatnonzero(free)
        wanted = np.linalg.solve(gram[np.ix_(places, places)], target[places])
        here = solution[places]
        falling = wanted <= 0
        if not falling.any():
            solution[places] = wanted
            return
        step = (here[falling] / np.maximum(here[falling] - wanted[falling], LEAST)).min()
        here = here + step * (wanted - here)
        gone = here <= LEAST
        gone[np.flatnonzero(falling)[here[falling].argmin()]] = True    # at least one, each time
        solution[places] = np.where(gone, 0, here)
        free[places[gone]] = False


def _spoken(pose: Pose) -> Shapes:
    weights = np.fromiter((pose[name] for name in NAMES), np.float32, len(NAMES))
    return dict(zip(VISEMES, visemes(weights).tolist(), strict=True))


OCULUS: Final = Layout({'mouth': _spoken})
