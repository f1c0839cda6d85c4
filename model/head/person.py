# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Who the default head is: MakeHuman's targets and how much of each."""

from __future__ import annotations

from typing import Final

from model.head.source import PERSON_TARGETS, BaseMesh, Points, Source

#: Share of each origin and of each sex; age is `young` (25 years) throughout.
ORIGINS: Final = {'caucasian': 0.55, 'asian': 0.25, 'african': 0.20}
SEXES: Final = {'female': 0.80, 'male': 0.20}

#: Details on top, both sides alike where the target is one-sided.
DETAILS: Final = {
    'head/head-oval': 0.40,
    'mouth/mouth-angles-up': 0.55,
    'mouth/mouth-scale-horiz-incr': 0.20,
    'eyes/l-eye-scale-incr': 0.15, 'eyes/r-eye-scale-incr': 0.15,
    'eyes/l-eye-height2-decr': 0.25, 'eyes/r-eye-height2-decr': 0.25,
    'cheek/l-cheek-bones-incr': 0.25, 'cheek/r-cheek-bones-incr': 0.25,
    'cheek/l-cheek-volume-incr': 0.20, 'cheek/r-cheek-volume-incr': 0.20,
    'nose/nose-point-up': 0.15,
    'nose/nose-scale-horiz-decr': 0.15,
    'forehead/forehead-scale-vert-decr': 0.25,
}


def amounts() -> dict[str, float]:
    """Return how much of each target makes the person."""
    wanted = {f'macrodetails/{origin}-{sex}-young': share * part
              for origin, share in ORIGINS.items() for sex, part in SEXES.items()}
    wanted |= {f'macrodetails/universal-{sex}-young-averagemuscle-averageweight': part
               for sex, part in SEXES.items()}
    wanted |= {f'macrodetails/proportions/{sex}-young-averagemuscle-averageweight-'
               'idealproportions': 0.6 * part for sex, part in SEXES.items()}
    return wanted | DETAILS


def shaped(source: Source, mesh: BaseMesh) -> Points:
    """Return the (19158, 3) vertices of the person, dm."""
    vertices = mesh.vertices.copy()
    for name, amount in amounts().items():
        vertices += amount * source.target(PERSON_TARGETS.format(name), len(vertices))
    mirrored = vertices[mesh.mirror] * [-1, 1, 1]
    return (vertices + mirrored) / 2
