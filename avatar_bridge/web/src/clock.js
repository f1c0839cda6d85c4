// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

const REMEMBERED = 10;

/** The server's time, estimated from answers to pings; milliseconds since the epoch. */
export class ServerClock {
  constructor() {
    this.reset();
  }

  reset() {
    this.samples = [];
    this.offset = Date.now() - performance.now();
  }

  /** Learn from a ping that left at `sent`, came back at `back` (performance.now) and met `server`. */
  learn(sent, back, server) {
    this.samples.push({ trip: back - sent, offset: server - (sent + back) / 2 });
    if (this.samples.length > REMEMBERED) this.samples.shift();
    const best = this.samples.reduce((one, other) => (other.trip < one.trip ? other : one));
    this.offset = best.offset;
    this.trip = best.trip;
  }

  now() {
    return performance.now() + this.offset;
  }

  /** Return when the server's `time` is here, in milliseconds of performance.now. */
  local(time) {
    return time - this.offset;
  }
}
