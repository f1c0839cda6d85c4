// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { read } from './wire.js';

const PING_EVERY = 1000;
const SILENT_FOR = 4000;        // ms without a word after which a connection counts as lost
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;

/**
 * A WebSocket that comes back.
 *
 * Dispatches `face`, `meta`, `audio`, `event` (detail: what wire.js reads), `status`, `failure`
 * (detail.text), `state` (detail: connecting, open, lost).
 */
export class Connection extends EventTarget {
  constructor(address, clock) {
    super();
    this.address = address;
    this.clock = clock;
    this.pings = new Map();
    this.pinged = 0;
    this.pause = FIRST_PAUSE;
    this.heard = 0;
    setInterval(() => this.#look(), PING_EVERY);
    this.#connect();
  }

  /** Send a command; false where nobody listens. */
  send(type, values = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ type, ...values }));
    return true;
  }

  #connect() {
    this.#tell('state', 'connecting');
    const socket = new WebSocket(this.address);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.pause = FIRST_PAUSE;
      this.heard = performance.now();
      this.clock.reset();
      this.#tell('state', 'open');
      for (let burst = 0; burst < 4; burst += 1) setTimeout(() => this.#ping(), 60 * burst);
    };
    socket.onmessage = (message) => this.#hear(message.data);
    socket.onclose = () => this.#lose(socket);
    this.socket = socket;
  }

  #lose(socket) {
    if (socket !== this.socket) return;
    socket.onclose = null;
    socket.close();
    this.socket = null;
    this.pings.clear();
    this.#tell('state', 'lost');
    setTimeout(() => this.#connect(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
  }

  #look() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (performance.now() - this.heard > SILENT_FOR) this.#lose(this.socket);
    else this.#ping();
  }

  #ping() {
    const id = this.pinged += 1;
    if (this.send('ping', { id })) this.pings.set(id, performance.now());
  }

  #hear(data) {
    this.heard = performance.now();
    try {
      if (typeof data !== 'string') {
        const message = read(data);
        this.#tell(message.kind, message);
      } else {
        this.#obey(JSON.parse(data));
      }
    } catch (error) {
      this.#tell('failure', { text: error.message });
    }
  }

  #obey(message) {
    if (message.type === 'pong') {
      const sent = this.pings.get(message.id);
      this.pings.delete(message.id);
      if (sent) this.clock.learn(sent, this.heard, Number(BigInt(message.server_ns)) / 1e6);
    } else if (message.type === 'status') {
      this.#tell('status', message);
    } else if (message.type === 'error') {
      this.#tell('failure', message);
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
