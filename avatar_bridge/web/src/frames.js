// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

const MOST = 240;               // frames that may wait: whoever is further ahead is not live

/** Frames that wait for their time; the newest that is due is shown, older ones are skipped. */
export class FrameBuffer {
  constructor() {
    this.reset();
  }

  reset() {
    this.waiting = [];
    this.skipped = 0;
    this.received = 0;
  }

  push(frame) {
    if (this.last && frame.stream !== this.last.stream) this.reset();
    this.last = frame;
    this.received += 1;
    this.waiting.push(frame);
    if (this.waiting.length > MOST) {
      this.waiting.shift();
      this.skipped += 1;
    }
  }

  /**
   * Return the newest frame that is due at `time` (ms, as `present`), or null for none new.
   * Calls `pass` with each that is due, shown or skipped.
   */
  take(time, pass = () => {}) {
    let due = null;
    while (this.waiting.length && this.waiting[0].present <= time) {
      if (due) this.skipped += 1;
      due = this.waiting.shift();
      pass(due);
    }
    return due;
  }
}
