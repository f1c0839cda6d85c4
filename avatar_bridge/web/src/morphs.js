// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { INDEX, NAMES, shapeOf } from './rig.js';

const clamp = (value) => Math.min(1, Math.max(0, value));

/** The 52 weights, put on the morph targets of a glTF scene by name. */
export class Morphs {
  constructor(root) {
    this.targets = [];          // [influences, place, shape]
    root.traverse((node) => {
      for (const [name, place] of Object.entries(node.morphTargetDictionary ?? {})) {
        const shape = shapeOf(name);
        if (shape >= 0) this.targets.push([node.morphTargetInfluences, place, shape]);
      }
    });
    const found = new Set(this.targets.map(([, , shape]) => shape));
    this.missing = NAMES.filter((_, shape) => !found.has(shape));
    this.found = found.size;
  }

  wear(weights) {
    for (const [influences, place, shape] of this.targets) influences[place] = weights[shape];
  }

  /** Return the influence that each shape has now, by name. */
  read() {
    return Object.fromEntries(this.targets.map(([influences, place, shape]) => (
      [NAMES[shape], influences[place]])));
  }
}

/** The same for a VRM: its own expressions where it has the 52, else vowels and blinks. */
export class Expressions {
  constructor(vrm) {
    this.vrm = vrm;
    this.manager = vrm.expressionManager;
    const names = Object.keys(this.manager.expressionMap);
    this.shapes = names.map((name) => [name, shapeOf(name)]).filter(([, shape]) => shape >= 0);
    const found = new Set(this.shapes.map(([, shape]) => shape));
    this.missing = found.size > 20 ? NAMES.filter((_, shape) => !found.has(shape)) : [];
    this.found = found.size;
    this.perfect = found.size > 20;
  }

  wear(weights) {
    const values = this.perfect
      ? this.shapes.map(([name, shape]) => [name, weights[shape]]) : Object.entries(presets(weights));
    for (const [name, value] of values) this.manager.setValue(name, value);
    this.manager.update();
  }

  read() {
    return Object.fromEntries(this.shapes.map(([name, shape]) => (
      [NAMES[shape], this.manager.getValue(name)])));
  }
}

/** Return VRM's preset expressions for 52 weights; they add up to 1 at most, or meshes tear. */
export function presets(weights) {
  const of = (name) => weights[INDEX[name]];
  const mean = (name) => (of(`${name}Left`) + of(`${name}Right`)) / 2;
  const open = clamp(of('jawOpen') - 0.6 * of('mouthClose'));
  const round = Math.max(of('mouthPucker'), of('mouthFunnel'));
  const spread = clamp(0.7 * mean('mouthStretch') + 0.5 * mean('mouthSmile')
    + 0.3 * mean('mouthDimple'));
  const vowels = {
    aa: open * (1 - round) * (1 - 0.6 * spread),
    oh: Math.min(1, 1.4 * open * round + 0.3 * of('mouthFunnel')),
    ou: of('mouthPucker') * (1 - 0.5 * open),
    ih: 0.8 * spread * (1 - open),
    ee: spread * (0.4 + 0.6 * open),
  };
  const sum = Math.max(1, Object.values(vowels).reduce((one, other) => one + other, 0));
  return {
    ...Object.fromEntries(Object.entries(vowels).map(([name, value]) => [name, value / sum])),
    blinkLeft: of('eyeBlinkLeft'), blinkRight: of('eyeBlinkRight'),
    lookUp: mean('eyeLookUp'), lookDown: mean('eyeLookDown'),
    lookLeft: (of('eyeLookOutLeft') + of('eyeLookInRight')) / 2,
    lookRight: (of('eyeLookInLeft') + of('eyeLookOutRight')) / 2,
  };
}
