// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { FrameBuffer } from './frames.js';
import { NAMES } from './rig.js';
import { Speaker } from './sound.js';
import { Stage } from './stage.js';
import { Playback, fetchTake } from './take.js';

const DELAY = 40;               // ms between a frame's time and the picture: what sound needs
const MOST_DELAY = 250;
const ENOUGH = 15;              // ms that sound may come too early before the delay shrinks
const SHRINK = 2;               // ms that it shrinks by, four times a second
const GROW = 60;                // ms that it grows by at most
const FAR = 50;                 // ms too early for two seconds: a jump, heard once, is better
const HALF_REFRESH = 8;
const REST_HALF_LIFE = 90;      // ms in which a face without a stream comes half to rest
const SILENT_FOR = 700;         // ms without a frame after which a live stream counts as over
const STILL = 1e-3;
const PLOT_EVERY = 120;         // ms between two pictures of the curves where a processor draws
const REMEMBERED = 600;         // pictures

/** Shows frames when they are due, live or from a file, with the sound that belongs to them. */
export class Viewer extends EventTarget {
  constructor({ canvas, connection, clock, curves, panel, notice }) {
    super();
    Object.assign(this, { connection, clock, curves, panel, notice });
    this.buffer = new FrameBuffer();
    this.speaker = new Speaker();
    this.delay = DELAY;
    this.worn = new Float32Array(NAMES.length);
    this.head = null;           // angles that the face wears: yaw, pitch, roll
    this.turned = [0, 0];
    this.shown = [];            // the newest that were drawn, for whoever measures
    this.pictures = 0;
    this.plotted = 0;
    this.wantsSound = true;
    this.slack = [];            // ms that pieces of sound came early
    this.margins = [];          // the least of them, in the last quarters of a second
    try {
      this.stage = new Stage(canvas);
    } catch {
      this.stage = null;
    }
    this.#listen();
  }

  start() {
    if (this.stage) this.wearOurs().catch((error) => this.panel.complain(error.message));
    const loop = (time) => {
      requestAnimationFrame(loop);
      this.#tick(performance.now(), time);
    };
    requestAnimationFrame(loop);
    setInterval(() => this.#report(), 250);
  }

  async wearHead(bytes) {
    if (!this.stage) throw new Error('this browser has no WebGL');
    const report = await this.stage.load(bytes);
    this.#wear(this.worn, null);
    return report;
  }

  async wearOurs() {
    const answer = await fetch(this.stage.software ? '/head_small.glb' : '/head.glb');
    if (!answer.ok) throw new Error('the server has no head to show');
    return this.wearHead(await answer.arrayBuffer());
  }

  async playFile(file) {
    this.take = await fetchTake(file);
    await this.#unlock(this.take.sampleRate);
    this.replay();
    if (this.take.note) this.panel.complain(this.take.note);
  }

  replay() {
    this.speaker.reset();
    this.playback = new Playback(this.take, this.speaker);
    this.curves.clear();
    this.#changed('mode');
  }

  goLive() {
    this.playback = null;
    this.speaker.reset();
    this.buffer.reset();
    this.curves.clear();
    if (this.meta) this.#unlock(this.meta.sampleRate);
    this.#changed('mode');
  }

  turn(yaw, pitch) {
    this.turned = [yaw, pitch];
    if (this.stage) this.stage.turn = this.turned;
    this.stale = true;
  }

  async toggleSound() {
    this.wantsSound = !(this.wantsSound && this.speaker.state === 'running');
    if (this.wantsSound) await this.#unlock(this.take && this.playback
      ? this.take.sampleRate : this.meta?.sampleRate);
    else this.speaker.reset();
    this.#changed('sound');
  }

  /** Where the page stands, for tests. */
  state() {
    return {
      state: this.standing, mode: this.playback ? 'file' : 'live', index: this.frame?.index,
      age: this.age, stream: this.meta?.stream, influences: this.stage?.face?.read() ?? null,
      weights: Object.fromEntries(NAMES.map((name, place) => [name, this.worn[place]])),
      head: this.head && [...this.head], received: this.buffer.received,
      skipped: this.buffer.skipped, pictures: this.pictures, delay: this.delay,
      drift: this.speaker.drift, sound: this.speaker.state, output: this.speaker.output,
      cost: this.stage?.cost, ratio: this.stage?.ratio, interval: this.stage?.interval,
      software: this.stage?.software, camera: this.stage?.look(), trip: this.clock.trip,
      offset: this.clock.offset, shown: this.shown, scheduled: this.speaker.scheduled,
      found: this.stage?.face?.found, missing: this.stage?.face?.missing, status: this.status,
    };
  }

  #listen() {
    const { connection } = this;
    const on = (name, act) => connection.addEventListener(name, ({ detail }) => act(detail));
    on('state', (state) => {
      this.link = state;
      if (state === 'lost') this.meta = this.status = null;
    });
    on('meta', (meta) => this.#begin(meta));
    on('face', (frame) => {
      this.arrived = performance.now();
      this.over = false;
      this.buffer.push(frame);
    });
    on('audio', (audio) => this.#hear(audio));
    on('event', (event) => { this.over = event.name === 'end'; });
    on('status', (status) => {
      this.status = status;
      this.panel.status(status);
    });
    on('failure', ({ text }) => this.panel.complain(text));
  }

  #begin(meta) {
    this.meta = meta;
    this.over = false;
    this.delay = DELAY;
    if (!this.playback) {
      this.speaker.reset();
      this.#unlock(meta.sampleRate);
    }
  }

  async #unlock(sampleRate) {
    if (this.wantsSound) await this.speaker.unlock(sampleRate);
    this.#changed('sound');
  }

  #hear(audio) {
    if (this.playback || !this.wantsSound) return;
    const local = this.clock.local(audio.present + this.delay);
    this.slack.push(this.speaker.play(audio.samples, local, audio.present));
  }

  /** Four times a second: wait longer where sound comes too late, less where it comes early. */
  #adapt() {
    const heard = this.slack.splice(0).sort((one, other) => one - other);
    if (heard.length < 2) return;
    const [worst, second] = heard;      // the worst may be a hiccup
    this.margins = [...this.margins, second].slice(-8);
    const least = this.margins.length === 8 ? Math.min(...this.margins) : 0;
    if (second < 0) this.#wait(Math.min(GROW, 2 - second));
    else if (least > ENOUGH + FAR) this.#wait(ENOUGH - least);
    else if (worst > ENOUGH) this.#wait(-SHRINK);
  }

  #wait(more) {
    this.delay = Math.max(DELAY, Math.min(MOST_DELAY, this.delay + more));
    if (Math.abs(more) > SHRINK) this.margins = [];
  }

  #tick(now, refresh) {
    const frame = this.playback ? this.#played(now) : this.#due(now);
    if (frame) this.#show(frame, now);
    else if (!this.playback && this.#isOver(now)) this.#rest(refresh - (this.last ?? refresh));
    this.last = refresh;
    const drawn = this.stale && this.stage?.draw(performance.now());
    if (drawn) {
      this.stale = false;
      this.pictures += 1;
      if (this.fresh) this.#drawn(this.fresh, now);
    }
    // Without a graphics card curves cost half as much as a face.
    if (!this.stage?.software || now - this.plotted > PLOT_EVERY) {
      this.curves.draw(now);
      this.plotted = now;
    }
  }

  #due(now) {
    const time = this.clock.now() - this.delay + HALF_REFRESH;
    return this.buffer.take(time, ({ present, weights }) => (
      this.curves.add(now - (time - present), weights)));
  }

  #played(now) {
    const frame = this.playback.frame(now);
    if (frame) this.curves.add(now, frame.weights);
    return frame;
  }

  #isOver(now) {
    return this.link !== 'open' || this.over || now - (this.arrived ?? 0) > SILENT_FOR;
  }

  /** Remember what came into a picture, and how old it was then. */
  #drawn(frame, now) {
    this.fresh = null;
    this.age = frame.publish ? this.clock.now() - frame.publish : 0;
    this.shown.push({ index: frame.index, present: frame.present, at: now, age: this.age });
    if (this.shown.length > REMEMBERED) this.shown.shift();
  }

  #show(frame, now) {
    if (this.fresh) this.buffer.skipped += 1;       // the picture before was not finished
    this.fresh = this.stage ? frame : null;
    this.frame = frame;
    this.#wear(frame.weights, frame.head);
    const lamp = document.getElementById('speaking');
    if (lamp.classList.toggle('on', frame.speech) !== this.spoke) {
      this.spoke = frame.speech;
      lamp.setAttribute('aria-label', frame.speech ? 'speaking' : 'silent');
    }
  }

  #rest(passed) {
    const moves = (value) => Math.abs(value) > STILL;
    if (!this.worn.some(moves) && !this.head?.some(moves)) return;
    const keep = 0.5 ** (passed / REST_HALF_LIFE);
    const less = (value) => (moves(value * keep) ? value * keep : 0);
    this.#wear(this.worn.map(less), this.head?.map(less) ?? null);
    this.curves.add(performance.now(), this.worn);
  }

  #wear(weights, head) {
    this.worn = weights;
    this.head = head;
    this.stage?.wear(weights, head);
    this.stale = true;
  }

  #changed(name) {
    this.dispatchEvent(new Event(name));
  }

  /** Four times a second: the state in words, and the figures. */
  #report() {
    this.#adapt();
    const now = performance.now();
    const flowing = now - (this.arrived ?? -Infinity) < SILENT_FOR;
    let state = this.link === 'open' ? 'waiting' : 'connecting';
    if (this.playback) state = this.playback.ended ? 'played' : 'playing';
    else if (this.link === 'lost' || (this.link === 'connecting' && this.frame)) state = 'lost';
    else if (flowing && !this.over) state = 'live';
    else if (this.over) state = 'ended';
    this.standing = state;
    const blocked = this.wantsSound && this.speaker.state === 'blocked'
      && (state === 'live' || state === 'playing');
    if (blocked) this.notice.offer('Turn the sound on', () => this.#clicked());
    else this.notice.show(this.stage || state === 'lost' ? state : 'blind', () => this.#again());
    this.panel.values(this.worn);
    this.panel.offer(Boolean(this.status));
    this.panel.figures(this.#figures());
    this.#changed('sound');
  }

  #again() {
    this.connection.send('source', { id: this.status?.source });
  }

  async #clicked() {
    await this.speaker.context.resume();
    this.#changed('sound');
  }

  #figures() {
    const told = this.status;
    const milliseconds = (value) => (value === undefined ? '–' : `${value.toFixed(1)} ms`);
    return [
      ['Latency of the model', told ? `${told.latency_ms.toFixed(0)} ms` : '–'],
      ['beyond it, p50 / p99', told
        ? `${told.latency_p50.toFixed(1)} / ${told.latency_p99.toFixed(1)} ms` : '–'],
      ['Late / dropped frames', told ? `${told.late} / ${told.dropped}` : '–'],
      ['Skipped by this page', String(this.buffer.skipped)],
      ['Age of this frame', milliseconds(this.playback ? undefined : this.age)],
      ['Sound against picture', this.speaker.state === 'running'
        ? milliseconds(this.speaker.drift) : 'no sound'],
      ['Compute for a second', told ? `${told.rtf.toFixed(2)} s` : '–'],
      ['Picture', this.stage ? `${this.stage.cost.toFixed(0)} ms` : 'none'],
    ];
  }
}
