// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { INDEX, NAMES, shapeOf } from './rig.js';

const PERFECT = 20;             // ARKit shapes from which on a rig counts as made for them
const TURN = 30;                // degrees that an eyeLook weight of 1 turns an eye
const clamp = (value) => Math.min(1, Math.max(0, value));

/**
 * The 52 weights on a VRM: its own expressions where they are called like the 52 ("perfect
 * sync"), else its vowels and blinks. Its eyes are turned as it wants them: bones or expressions.
 */
export class Expressions {
  /** Of `vrm`; the meshes' own shapes, `morphs`, serve where they are many and expressions few. */
  constructor(vrm, morphs) {
    this.vrm = vrm;
    this.manager = vrm.expressionManager;
    this.has = new Set(Object.keys(this.manager?.expressionMap ?? {}));
    this.shapes = [...this.has].map((name) => [name, shapeOf(name)])
      .filter(([, shape]) => shape >= 0);
    const found = new Set(this.shapes.map(([, shape]) => shape));
    this.perfect = found.size > PERFECT;
    this.found = found.size;
    this.missing = NAMES.filter((_, shape) => !found.has(shape));
    this.morphs = !this.perfect && morphs.found > PERFECT ? morphs : null;
    if (this.morphs) ({ found: this.found, missing: this.missing } = morphs);
    if (!this.found && !this.has.size) throw new Error('a VRM without expressions');
    if (vrm.lookAt) vrm.lookAt.autoUpdate = false;
  }

  /** Say in words how the face is moved, where it is not by the 52. */
  get note() {
    if (this.perfect || this.morphs) return '';
    const vowels = ['aa', 'ih', 'ou', 'ee', 'oh'].filter((name) => this.has.has(name));
    return `a VRM without the 52; moved by its own ${[...vowels, 'blink'].join(', ')}`;
  }

  wear(weights) {
    if (this.vrm.lookAt) this.#look(weights);
    if (this.morphs) {
      this.morphs.wear(weights);
      return;
    }
    this.values = this.perfect ? this.shapes.map(([name, shape]) => [name, weights[shape]])
      : Object.entries(presets(weights, this.has)).filter(([name]) => this.has.has(name));
    for (const [name, value] of this.values) this.manager.setValue(name, value);
  }

  update() {
    this.morphs?.update();
    this.vrm.update(0);
  }

  read() {
    if (this.morphs) return this.morphs.read();
    return Object.fromEntries((this.values ?? []).map(([name]) => [
      this.perfect ? NAMES[shapeOf(name)] : name, this.manager.getValue(name)]));
  }

  #look(weights) {
    const gaze = gazes(weights);
    this.vrm.lookAt.yaw = TURN * (gaze.lookLeft - gaze.lookRight);
    this.vrm.lookAt.pitch = TURN * (gaze.lookDown - gaze.lookUp);
  }
}

function gazes(weights) {
  const mean = (one, other) => (weights[INDEX[one]] + weights[INDEX[other]]) / 2;
  return {
    lookUp: mean('eyeLookUpLeft', 'eyeLookUpRight'),
    lookDown: mean('eyeLookDownLeft', 'eyeLookDownRight'),
    lookLeft: mean('eyeLookOutLeft', 'eyeLookInRight'),
    lookRight: mean('eyeLookInLeft', 'eyeLookOutRight'),
  };
}

/** Return VRM's preset expressions for 52 weights; vowels add up to 1 at most, or meshes tear. */
export function presets(weights, has) {
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
  const [left, right] = [of('eyeBlinkLeft'), of('eyeBlinkRight')];
  return {
    ...Object.fromEntries(Object.entries(vowels).map(([name, value]) => [name, value / sum])),
    ...(has.has('blinkLeft') && has.has('blinkRight') ? { blinkLeft: left, blinkRight: right }
      : { blink: Math.min(left, right) }),
  };
}
