// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/** The JavaScript client for the tests: `obey` answers commands as the other probes do. */

import * as client from '../../clients/javascript/avatar_bridge.mjs';

const KINDS = ['face', 'meta', 'audio', 'event'];
const ms = (nanoseconds) => Number(nanoseconds) / 1e6;
const ns = (milliseconds) => Math.round(milliseconds * 1e6);

function bytesOf(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Return a message as the other probes tell it. */
function told({ kind, ...fields }) {
  const all = { kind };
  for (const [name, value] of Object.entries(fields)) {
    if (['capture', 'publish', 'present'].includes(name)) all[name] = ns(value);
    else if (name === 'sampleRate') all.rate = value;
    else all[name] = value instanceof Float32Array ? [...value] : value;
  }
  return all;
}

function decode(kind, hex = '') {
  try {
    return told(client.read(Uint8Array.of(KINDS.indexOf(kind), ...bytesOf(hex)).buffer));
  } catch (error) {
    return { refused: error.message };
  }
}

class Script {
  clock = new client.PresentationClock();

  frames = new client.JitterBuffer(this.clock);

  obey([command, ...words]) {
    switch (command) {
      case 'decode': return decode(...words);
      case 'shape': return client.shapeOf(words[0]);
      case 'push': return this.push(...words);
      case 'sample': return this.sample(ms(words[0]));
      case 'counts': {
        const { received, lost, tooLate } = this.frames;
        return [received, lost, tooLate, ns(this.clock.delay)];
      }
      default: throw new Error(command);
    }
  }

  push(index, publish, present, arrived, value, flags, stream) {
    this.frames.push({
      index: Number(index), publish: ms(publish), present: ms(present), flags: Number(flags),
      weights: new Float32Array(52).fill(Number(value)), head: null, eyes: null, stream,
    }, ms(arrived));
    return undefined;
  }

  sample(now) {
    const pose = this.frames.sample(now);
    return pose && [pose.index, pose.weights[0], ns(pose.at)];
  }
}

window.obey = (lines) => {
  const script = new Script();
  return lines.map((line) => script.obey(line.split(' '))).filter((answer) => answer !== undefined);
};
window.client = client;
