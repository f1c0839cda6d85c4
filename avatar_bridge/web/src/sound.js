// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

const RESYNC = 0.025;           // s off its time after which sound starts anew
const PULL = 0.01;              // most that the speed is bent to come back to time
const MARGIN = 0.004;           // s that the device needs at least

/** Sound that is heard when it should be; `drift` says how far off it is, in milliseconds. */
export class Speaker {
  constructor() {
    this.context = null;
    this.volume = 1;
    this.reset();
  }

  reset() {
    for (const source of this.sources ?? []) source.stop();
    this.sources = new Set();
    this.next = null;           // context time at which the sound scheduled so far ends
    this.drift = 0;
    this.scheduled = [];        // the newest: {present (ms), start (s of the context)}, for whoever measures
  }

  /** Say whether the browser lets us play: 'off' (nothing yet), 'blocked' or 'running'. */
  get state() {
    if (!this.context) return 'off';
    return this.context.state === 'running' ? 'running' : 'blocked';
  }

  /** Return which instant of the context leaves the loudspeaker when, for whoever measures. */
  get output() {
    return this.context && { context: this.context.currentTime, at: performance.now(),
      ...this.context.getOutputTimestamp?.() };
  }

  /** Ask the browser to let us play; it does after a click. */
  async unlock(sampleRate = 16000) {
    if (this.context && this.context.sampleRate !== sampleRate) {
      await this.context.close();
      this.context = null;
    }
    if (!this.context) {
      // the stream's own rate: pieces then join without a seam
      this.context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
      this.gain = new GainNode(this.context, { gain: this.volume });
      this.gain.connect(this.context.destination);
      this.reset();
    }
    if (this.context.state === 'suspended') await Promise.race([this.context.resume(), pause(300)]);
  }

  setVolume(volume) {
    this.volume = volume;
    this.gain?.gain.setTargetAtTime(volume, this.context.currentTime, 0.02);
  }

  /**
   * Let `samples` be heard at `local`, milliseconds of performance.now.
   * Returns by how many milliseconds they come early enough for that; negative is too late.
   */
  play(samples, local, present) {
    if (this.state !== 'running') return Infinity;
    const wanted = this.#contextTime(local);
    const earliest = this.context.currentTime + MARGIN;
    const seconds = samples.length / this.context.sampleRate;
    let at = this.next ?? wanted;
    let cut = 0;                // s of the piece that cannot be heard in time any more
    if (Math.abs(at - wanted) > RESYNC || at < earliest) {
      at = Math.max(wanted, earliest);
      cut = at - wanted;
      for (const source of this.sources) source.stop(at);       // two at once would be noise
      if (cut >= seconds) {
        this.next = null;
        return 1000 * (wanted - earliest);
      }
    }
    this.drift = 1000 * (at - cut - wanted);
    const speed = 1 + Math.max(-PULL, Math.min(PULL, (at - cut - wanted) / 2));
    const buffer = this.context.createBuffer(1, samples.length, this.context.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: speed });
    source.connect(this.gain);
    source.onended = () => this.sources.delete(source);
    source.start(at, cut);
    this.sources.add(source);
    this.next = at + (seconds - cut) / speed;
    this.scheduled.push({ present, start: at - cut });
    if (this.scheduled.length > 200) this.scheduled.shift();
    return 1000 * (wanted - earliest);
  }

  /** Return the context's time for an instant of performance.now, as it leaves the loudspeaker. */
  #contextTime(local) {
    const stamp = this.context.getOutputTimestamp?.();
    if (stamp?.performanceTime > 0) return stamp.contextTime + (local - stamp.performanceTime) / 1000;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return this.context.currentTime - latency + (local - performance.now()) / 1000;
  }
}

function pause(milliseconds) {
  return new Promise((done) => { setTimeout(done, milliseconds); });
}
