// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/** Wire version 1: msgpack arrays behind one byte that says which kind. */

import { decode } from '@msgpack/msgpack';

const VERSION = 1;
const KINDS = ['face', 'meta', 'audio', 'event'];
const FLAGS = { speech: 1, muted: 2, idle: 4, discontinuity: 8 };

const milliseconds = (nanoseconds) => Number(nanoseconds) / 1e6;

/** Return 32-bit floats out of bytes that may lie anywhere in a message. */
function floats(bytes) {
  return bytes && new Float32Array(bytes.slice().buffer);
}

/** Return 16-bit samples as floats in [-1, 1). */
export function samplesOf(bytes) {
  return Float32Array.from(new Int16Array(bytes.slice().buffer), (sample) => sample / 32768);
}

const READERS = {
  face: (told) => ({
    index: Number(told[1]), capture: milliseconds(told[2]), publish: milliseconds(told[3]),
    present: milliseconds(told[4]), fps: told[5], weights: floats(told[7]), head: floats(told[8]),
    eyes: floats(told[9]), flags: told[10], speech: Boolean(told[10] & FLAGS.speech),
    discontinuity: Boolean(told[10] & FLAGS.discontinuity), stream: told[11],
  }),
  meta: (told) => ({
    stream: told[1], avatar: told[2], names: told[3], fps: told[4], latency: told[5],
    bundle: told[6], sampleRate: Number(told[7]),
  }),
  audio: (told) => ({
    start: Number(told[1]), present: milliseconds(told[3]), sampleRate: Number(told[4]),
    samples: samplesOf(told[5]),
  }),
  event: (told) => ({ name: told[1], detail: told[2] }),
};

/** Return {kind, ...} of a binary message; throws on anything that is no message of ours. */
export function read(buffer) {
  const bytes = new Uint8Array(buffer);
  const kind = KINDS[bytes[0]];
  const told = decode(bytes.subarray(1), { useBigInt64: true });
  if (!kind || !Array.isArray(told) || Number(told[0]) !== VERSION) {
    throw new Error('a message of another version; reload the page');
  }
  return { kind, ...READERS[kind](told) };
}

/** Return a recording: frames with their times, and sound where there is some. */
export function readTake(buffer) {
  const take = decode(new Uint8Array(buffer), { useBigInt64: true });
  const weights = floats(take.weights);
  const width = take.names.length;
  const count = weights.length / width;
  const heads = floats(take.head);
  return {
    fps: take.fps, sampleRate: Number(take.sample_rate), samples: samplesOf(take.pcm),
    seconds: count / take.fps, note: take.note ?? '',
    frames: Array.from({ length: count }, (_, index) => ({
      index, present: 1000 * index / take.fps,
      weights: weights.subarray(width * index, width * (index + 1)),
      head: heads?.subarray(3 * index, 3 * index + 3) ?? null,
      speech: Boolean((take.flags[index] ?? 0) & FLAGS.speech),
    })),
  };
}
