// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/** The ARKit-52 rig: names in Apple's order, and who they are in other people's spelling. */

export const NAMES = [
  'eyeBlinkLeft', 'eyeLookDownLeft', 'eyeLookInLeft', 'eyeLookOutLeft', 'eyeLookUpLeft',
  'eyeSquintLeft', 'eyeWideLeft', 'eyeBlinkRight', 'eyeLookDownRight', 'eyeLookInRight',
  'eyeLookOutRight', 'eyeLookUpRight', 'eyeSquintRight', 'eyeWideRight', 'jawForward', 'jawLeft',
  'jawRight', 'jawOpen', 'mouthClose', 'mouthFunnel', 'mouthPucker', 'mouthLeft', 'mouthRight',
  'mouthSmileLeft', 'mouthSmileRight', 'mouthFrownLeft', 'mouthFrownRight', 'mouthDimpleLeft',
  'mouthDimpleRight', 'mouthStretchLeft', 'mouthStretchRight', 'mouthRollLower', 'mouthRollUpper',
  'mouthShrugLower', 'mouthShrugUpper', 'mouthPressLeft', 'mouthPressRight',
  'mouthLowerDownLeft', 'mouthLowerDownRight', 'mouthUpperUpLeft', 'mouthUpperUpRight',
  'browDownLeft', 'browDownRight', 'browInnerUp', 'browOuterUpLeft', 'browOuterUpRight',
  'cheekPuff', 'cheekSquintLeft', 'cheekSquintRight', 'noseSneerLeft', 'noseSneerRight',
  'tongueOut',
];

export const INDEX = Object.fromEntries(NAMES.map((name, index) => [name, index]));

/** A spelling without case, separators and words for sides: mouthSmile_L, MouthSmileLeft. */
function plain(name) {
  return name.replace(/[\s_\-]+/g, '').toLowerCase().replace(/left$/, 'l').replace(/right$/, 'r');
}

const PLAIN = new Map(NAMES.map((name, index) => [plain(name), index]));
/** Shapes that some rigs have once for each side. */
const SPLIT = new Map(['browInnerUp', 'cheekPuff', 'mouthFunnel', 'mouthPucker', 'mouthRollLower',
  'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper'].flatMap((name) => (
  ['l', 'r'].map((side) => [plain(name) + side, INDEX[name]]))));

/**
 * Return which of the 52 a name means, or -1.
 * Known are jawOpen, JawOpen, jaw_open, mouthSmile_L, mouthSmileLeft, and all of them behind a
 * prefix (blendShape1.jawOpen, Face_M_jawOpen).
 */
export function shapeOf(name) {
  const short = plain(name.slice(name.lastIndexOf('.') + 1));
  const exact = PLAIN.get(short) ?? SPLIT.get(short);
  if (exact !== undefined) return exact;
  const ends = [...PLAIN.keys()].filter((known) => short.endsWith(known) && known.length > 4);
  ends.sort((one, other) => other.length - one.length);
  return ends.length ? PLAIN.get(ends[0]) : -1;
}
