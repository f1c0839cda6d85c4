// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/**
 * Faces of avatar_bridge for three.js: one file, no dependency, not even on three itself.
 *
 *     import { AvatarBridge } from './avatar_bridge.mjs';
 *     const bridge = new AvatarBridge('ws://127.0.0.1:5570/ws');
 *     bridge.drive(gltf.scene);
 *     renderer.setAnimationLoop(() => { bridge.update(); renderer.render(scene, camera); });
 *
 * The other end is `avatar-bridge run --sink 'web=5570?origin=http://localhost:5173'`, where
 * `origin` is the address of the page that imports this file. Times are milliseconds.
 */

/** The 52 ARKit shapes in Apple's order. */
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

const VERSION = 1;
const LAYOUT = 'arkit_apple';
const KINDS = ['face', 'meta', 'audio', 'event'];
const DISCONTINUITY = 8;

/** A spelling without case, separators and words for sides: mouthSmile_L, MouthSmileLeft. */
function plain(name) {
  return name.replace(/[\s_-]+/g, '').toLowerCase().replace(/left$/, 'l').replace(/right$/, 'r');
}

const SPLIT = ['browInnerUp', 'cheekPuff', 'mouthFunnel', 'mouthPucker', 'mouthRollLower',
  'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper'];      // by some rigs, for each side
const KNOWN = new Map([
  ...NAMES.map((name, shape) => [plain(name), shape]),
  ...SPLIT.flatMap((name) => ['l', 'r'].map((side) => [plain(name) + side, NAMES.indexOf(name)])),
]);

/** Return which of the 52 a name means, or -1; prefixes such as Face.M_jawOpen are understood. */
export function shapeOf(name) {
  const short = plain(name.slice(name.lastIndexOf('.') + 1));
  if (KNOWN.has(short)) return KNOWN.get(short);
  const ends = [...KNOWN.keys()].filter((known) => short.endsWith(known));
  ends.sort((one, other) => other.length - one.length);
  return ends.length ? KNOWN.get(ends[0]) : -1;
}

const isMouth = (shape) => (shape >= 14 && shape < 41) || shape === 51;
const isLook = (shape) => (shape >= 1 && shape <= 4) || (shape >= 8 && shape <= 11);

/** Reads MessagePack values one after the other; throws on whatever is not as asked for. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.place = 0;
  }

  get atEnd() { return this.place === this.bytes.length; }

  value(depth = 0) {
    if (depth > 8) throw new RangeError('expected at most 8 arrays inside each other');
    const code = this.view.getUint8(this.place++);
    if (code < 0x80) return code;
    if (code >= 0xe0) return code - 0x100;
    if (code < 0x90) return this.map(code & 0x0f, depth);
    if (code < 0xa0) return this.array(code & 0x0f, depth);
    if (code < 0xc0) return this.text(code & 0x1f);
    const size = 2 ** (code & 3);
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.take(this.unsigned(2 ** (code - 0xc4)));
      case 0xca: return this.view.getFloat32(this.skip(4));
      case 0xcb: return this.view.getFloat64(this.skip(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.unsigned(size);
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.signed(size);
      case 0xd9: case 0xda: case 0xdb: return this.text(this.unsigned(2 ** (code - 0xd9)));
      case 0xdc: case 0xdd: return this.array(this.unsigned(2 * (code - 0xdb)), depth);
      case 0xde: case 0xdf: return this.map(this.unsigned(2 * (code - 0xdd)), depth);
      default: throw new RangeError(`unexpected MessagePack code ${code.toString(16)}`);
    }
  }

  array(count, depth) {
    if (count > 1024) throw new RangeError(`expected at most 1024 elements, got ${count}`);
    return Array.from({ length: count }, () => this.value(depth + 1));
  }

  map(count, depth) {
    return new Map(this.array(2 * count, depth).flatMap((key, place, all) => (
      place % 2 ? [] : [[key, all[place + 1]]])));
  }

  text(size) {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(size));
  }

  unsigned(size) {
    if (size === 8) return Number(this.view.getBigUint64(this.skip(8)));
    return this.view[`getUint${8 * size}`](this.skip(size));
  }

  signed(size) {
    if (size === 8) return Number(this.view.getBigInt64(this.skip(8)));
    return this.view[`getInt${8 * size}`](this.skip(size));
  }

  take(size) {
    const start = this.skip(size);
    return this.bytes.subarray(start, start + size);
  }

  skip(size) {
    const start = this.place;
    if (size > this.bytes.length - start) throw new RangeError(`expected ${size} more bytes`);
    this.place += size;
    return start;
  }
}

const expected = (what, found) => new TypeError(`expected ${what}, got ${String(found).slice(0, 60)}`);

const check = {
  integer(value) {
    if (!Number.isInteger(value)) throw expected('an integer', value);
    return value;
  },
  natural(value) {
    if (!Number.isInteger(value) || value < 0) throw expected('an integer from 0 up', value);
    return value;
  },
  number(value) {
    if (typeof value !== 'number' || !(value >= 0)) throw expected('a number from 0 up', value);
    return value;
  },
  text(value) {
    if (typeof value !== 'string') throw expected('a text', value);
    return value;
  },
  texts(value) {
    if (!Array.isArray(value)) throw expected('names', value);
    return value.map(check.text);
  },
  floats(value, count) {
    if (value?.length !== 4 * count || !(value instanceof Uint8Array)) {
      throw expected(`${4 * count} bytes`, value);
    }
    const floats = new Float32Array(value.slice().buffer);
    if (!floats.every(Number.isFinite)) throw expected('finite numbers', floats);
    return floats;
  },
  samples(value) {
    if (!(value instanceof Uint8Array) || value.length % 2) throw expected('pairs of bytes', value);
    return Float32Array.from(new Int16Array(value.slice().buffer), (sample) => sample / 32768);
  },
};

const time = (nanoseconds) => check.integer(nanoseconds) / 1e6;

function readFace(told) {
  if (told[6] !== LAYOUT) throw expected(`the layout ${LAYOUT}`, told[6]);
  return {
    index: check.natural(told[1]), capture: time(told[2]), publish: time(told[3]),
    present: time(told[4]), fps: check.number(told[5]),
    weights: check.floats(told[7], NAMES.length),
    head: told[8] === null ? null : check.floats(told[8], 3),
    eyes: told[9] === null ? null : check.floats(told[9], 4),
    flags: check.natural(told[10]), stream: check.text(told[11]),
  };
}

const READERS = {
  face: [12, readFace],
  meta: [8, (told) => ({
    stream: check.text(told[1]), avatar: check.text(told[2]), names: check.texts(told[3]),
    fps: check.number(told[4]), latency: check.number(told[5]), bundle: check.text(told[6]),
    sampleRate: check.natural(told[7]),
  })],
  audio: [6, (told) => ({
    start: check.natural(told[1]), capture: time(told[2]), present: time(told[3]),
    sampleRate: check.natural(told[4]), samples: check.samples(told[5]),
  })],
  event: [3, (told) => ({ name: check.text(told[1]), detail: check.text(told[2]) })],
};

/** Return {kind, ...} of a binary message (one byte for the kind, a payload); or throw. */
export function read(buffer) {
  const bytes = new Uint8Array(buffer);
  const kind = KINDS[bytes[0]];
  if (!kind) throw expected('a kind of message from 0 to 3', bytes[0]);
  const reader = new Reader(bytes.subarray(1));
  const told = reader.value();
  const [count, fields] = READERS[kind];
  if (!Array.isArray(told) || !reader.atEnd) throw expected('one array', told);
  if (told[0] !== VERSION) throw expected(`wire version ${VERSION}`, told[0]);
  if (told.length < count) throw expected(`${count} elements`, told.length);
  return { kind, ...fields(told) };
}

const WINDOW = 5000;            // two of them are remembered
const JUMP = 1000;              // a clock was set, or we stood still
const MOST_DELAY = 100;
const RECOVERY = 100;           // 10 ms a second
const MOST_WAITING = 256;       // frames
const HOLD = 100;               // without a frame before the face fades
const FADE = 300;

/**
 * Which moment of the sender's clock is to be seen and heard now.
 *
 * The clocks differ by an unknown offset. A message needs at least as long as the quickest of the
 * last ten seconds, which therefore stands for the offset; what others need beyond it is jitter,
 * most of it covered by the 30 ms between publication and presentation. When something comes too
 * late even so, presentation is delayed at once and recovers slowly.
 */
export class PresentationClock {
  constructor() {
    this.trim = 0;              // how much later than meant the user wants things
    this.reset();
  }

  get offset() { return Math.min(this.quickest, this.before); }

  /** Forget the sender. */
  reset() {
    this.known = false;
    this.delay = 0;
  }

  /** Learn from what was published then and arrived now. */
  learn(published, arrived) {
    const needed = arrived - published;
    if (!this.known || Math.abs(needed - this.offset) > JUMP) {
      Object.assign(this, { quickest: needed, before: needed, known: true, covered: arrived });
      this.windowEnd = arrived + WINDOW;
    } else if (arrived >= this.windowEnd) {
      Object.assign(this, { before: this.quickest, quickest: needed });
      this.windowEnd = arrived + WINDOW;
    }
    this.quickest = Math.min(this.quickest, needed);
  }

  /** Delay presentation if what is due then arrived too late. */
  cover(present, arrived) {
    this.delay -= Math.min(this.delay, Math.max(0, arrived - this.covered) / RECOVERY);
    this.covered = Math.max(this.covered, arrived);
    const late = arrived - present - this.offset - this.trim;
    this.delay = Math.max(this.delay, Math.min(late, MOST_DELAY));
  }

  /** Return what moment of the sender's clock is presented at `now`. */
  at(now) { return now - this.offset - this.delay - this.trim; }
}

/**
 * Frames that wait for their time, in order, shown by presentation time and not by arrival.
 * Between two frames the pose is a mixture; without frames the face goes to rest.
 */
export class JitterBuffer {
  constructor(clock) {
    this.clock = clock;
    this.frames = [];           // the first is or was due
    this.received = 0;
    this.lost = 0;              // frames that did not come in time, by their numbers
    this.tooLate = 0;           // frames that came after a later one was shown
  }

  /** Take a frame in, in any order. */
  push(frame, arrived) {
    if (frame.stream !== this.stream) this.#begin(frame);
    this.received += 1;
    this.clock.learn(frame.publish, arrived);
    this.clock.cover(frame.present, arrived);
    this.lost += Math.max(0, frame.index - this.newest - 1);
    let place = this.frames.length;
    while (place > 0 && this.frames[place - 1].index > frame.index) place -= 1;
    if (place > 0 ? this.frames[place - 1].index === frame.index : this.#isShown()) {
      this.tooLate += 1;
      return;
    }
    if (place > 0 && this.frames[place - 1].present - frame.present > JUMP) {
      this.frames.splice(0, place);                     // the sender's clock was set back
      place = 0;
    }
    if (frame.index < this.newest) this.lost -= 1;      // it was only overtaken
    this.newest = Math.max(this.newest, frame.index);
    this.frames.splice(place, 0, frame);
    if (this.frames.length > MOST_WAITING) this.frames.shift();
  }

  /** Return {index, weights, head, eyes, flags, at} as it is to be seen at `now`, or null. */
  sample(now) {
    // A delay that grows stops the face for a moment; only a clock that was set turns it back.
    const at = this.clock.at(now);
    if (at > this.shown || at < this.shown - JUMP) this.shown = at;
    while (this.frames.length > 1 && this.frames[1].present <= this.shown) this.frames.shift();
    if (!this.#isShown()) return null;
    const [frame, next] = this.frames;
    return this.#mixed(frame, next && !(next.flags & DISCONTINUITY) ? next : frame);
  }

  #isShown() {
    return this.frames.length > 0 && this.frames[0].present <= this.shown;
  }

  #begin(first) {
    this.stream = first.stream;
    this.frames = [];
    this.clock.reset();
    this.newest = first.index - 1;
    this.shown = -Infinity;
  }

  #mixed(frame, next) {
    const since = this.shown - frame.present;
    const span = next.present - frame.present;
    const part = span > 0 ? since / span : 0;
    const gone = next === frame ? (since - HOLD) / FADE : 0;
    const life = 1 - Math.min(1, Math.max(0, gone));
    const mix = (from, to) => from && from.map((value, place) => (
      life * (value + part * ((to ?? from)[place] - value))));
    return {
      index: frame.index, flags: frame.flags, at: this.shown,
      weights: mix(frame.weights, next.weights), head: mix(frame.head, next.head),
      eyes: mix(frame.eyes, next.eyes),
    };
  }
}

/** A bone below `root` that turns about the axes of `root`, and goes along with its parent. */
class Turning {
  constructor(root, bone) {
    const { constructor: Quaternion } = bone.quaternion;    // three's own, without importing it
    this.bone = bone;
    this.rest = bone.quaternion.clone();
    this.around = bone.parent.getWorldQuaternion(new Quaternion())
      .premultiply(root.getWorldQuaternion(new Quaternion()).invert());
    this.back = this.around.clone().invert();
    this.angles = bone.rotation.clone();
    this.nod = new Quaternion();
  }

  /** By radians to the subject's left, up, and leaning to its left shoulder. */
  turn(yaw, pitch, roll = 0) {
    this.nod.setFromEuler(this.angles.set(-pitch, yaw, -roll, 'YXZ'));
    this.bone.quaternion.copy(this.back).multiply(this.nod).multiply(this.around)
      .multiply(this.rest);
  }
}

/** The shapes of a scene that a stream moves, found by name. */
class Face {
  constructor(root, { channels = 'all', gain = 1, sources = {}, head, leftEye, rightEye } = {}) {
    this.gain = gain;
    this.head = head && new Turning(root, head);
    this.eyes = leftEye && rightEye && [new Turning(root, leftEye), new Turning(root, rightEye)];
    this.links = [];            // [influences, place, shape]
    const found = new Set();
    root.traverse((node) => {
      for (const [name, place] of Object.entries(node.morphTargetDictionary ?? {})) {
        const shape = shapeOf(sources[name] ?? name);
        if (shape < 0) continue;
        found.add(shape);
        if (channels === 'all' || (channels === 'mouth') === isMouth(shape)) {
          this.links.push([node.morphTargetInfluences, place, shape]);
        }
      }
    });
    this.missing = NAMES.filter((_, shape) => !found.has(shape));
  }

  wear({ weights, head, eyes }) {
    const byBones = this.eyes && eyes;      // eyeballs turn by bones or by shapes, not by both
    for (const [influences, place, shape] of this.links) {
      const weight = byBones && isLook(shape) ? 0 : this.gain * weights[shape];
      influences[place] = Math.min(1, Math.max(0, weight));
    }
    if (head) this.head?.turn(...head);
    if (byBones) this.eyes.forEach((eye, side) => eye.turn(eyes[2 * side], eyes[2 * side + 1]));
  }
}

const APART = 0.05;             // seconds beyond which sound jumps
const LEAD = 0.02;              // seconds that a browser needs to begin

/** Sound that is heard when the face that belongs to it is seen. */
class Speaker {
  constructor(clock, context) {
    Object.assign(this, { clock, context, next: -Infinity });
  }

  play({ present, sampleRate, samples }, arrived) {
    if (!samples.length || !this.clock.known || this.context.state !== 'running') return;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    this.clock.cover(present - 1000 * (latency + LEAD), arrived);
    const ahead = (present - this.clock.at(performance.now())) / 1000;
    const wanted = this.context.currentTime + ahead - latency;
    const error = wanted - this.next;
    if (Math.abs(error) > APART) this.next = wanted;
    const source = this.context.createBufferSource();
    source.buffer = this.context.createBuffer(1, samples.length, sampleRate);
    source.buffer.copyToChannel(samples, 0);
    // Clocks differ: half a per cent of speed leads sound back, and nobody hears it.
    const speed = Math.abs(error) > APART ? 1 : 1 - Math.min(0.005, Math.max(-0.005, error / 5));
    source.playbackRate.value = speed;
    source.connect(this.context.destination);
    if (this.next >= this.context.currentTime) source.start(this.next);
    this.next += source.buffer.duration / speed;
  }
}

const PING_EVERY = 1000;
const SILENT_FOR = 4000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;

/**
 * A stream of avatar_bridge that comes back by itself.
 *
 * Dispatches `face`, `meta`, `audio`, `event` (detail: the message), `state` (detail: connecting,
 * open, lost, closed) and `failure` (detail: an Error; a message was no message).
 */
export class AvatarBridge extends EventTarget {
  constructor(address = 'ws://127.0.0.1:5570/ws') {
    super();
    this.address = address;
    this.clock = new PresentationClock();
    this.frames = new JitterBuffer(this.clock);
    this.faces = [];
    this.pause = FIRST_PAUSE;
    this.pulse = setInterval(() => this.#look(), PING_EVERY);
    this.#connect();
  }

  /**
   * Let the shapes below `root` follow; returns {missing}: names that no shape has.
   *
   * Options: channels 'all', 'mouth' or 'upper'; gain; sources {shape of the mesh: one of the 52}
   * where names do not say it; head, leftEye, rightEye: bones that turn.
   */
  drive(root, options) {
    this.faces.push(new Face(root, options));
    return this.faces.at(-1);
  }

  /** Play the sound in step with the face; browsers want `context` resumed by a click. */
  hear(context) {
    this.speaker = new Speaker(this.clock, context);
  }

  /** Before each picture: let the faces follow; returns the pose, or null. */
  update(now = performance.now()) {
    const pose = this.frames.sample(now);
    if (pose) for (const face of this.faces) face.wear(pose);
    return pose;
  }

  /** Hang up. */
  close() {
    clearInterval(this.pulse);
    clearTimeout(this.retry);
    const { socket } = this;
    this.socket = null;
    socket?.close();
    this.#tell('state', 'closed');
  }

  #connect() {
    this.#tell('state', 'connecting');
    const socket = new WebSocket(this.address);
    this.socket = socket;
    this.heard = performance.now();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.pause = FIRST_PAUSE;
      this.#tell('state', 'open');
    };
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#lose(socket);
  }

  #lose(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.close();
    this.#tell('state', 'lost');
    this.retry = setTimeout(() => this.#connect(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
  }

  /** Ask a silent server whether it lives; hang up on a dead one. */
  #look() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (performance.now() - this.heard > SILENT_FOR) this.#lose(this.socket);
    else this.socket.send('{"type": "ping"}');
  }

  #take(data) {
    const arrived = performance.now();
    this.heard = arrived;
    if (typeof data === 'string') return;           // answers to pings, status
    let message;
    try {
      message = read(data);
    } catch (error) {
      this.#tell('failure', error);
      return;
    }
    if (message.kind === 'face') this.frames.push(message, arrived);
    if (message.kind === 'audio') this.speaker?.play(message, arrived);
    this.#tell(message.kind, message);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
