// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { INDEX } from './rig.js';

const SECONDS = 6;
const COLOURS = ['--curve-1', '--curve-2', '--curve-3', '--curve-4', '--curve-5', '--curve-6'];

/** Scrolling curves of chosen shapes. */
export class Curves {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.history = [];          // [time ms, weights]
    this.choose(['jawOpen', 'mouthClose', 'mouthPucker', 'eyeBlinkLeft']);
  }

  choose(names) {
    this.names = names.slice(0, COLOURS.length);
    this.legend.replaceChildren(...this.names.map((name, place) => {
      const entry = document.createElement('li');
      entry.textContent = name;
      entry.style.setProperty('--swatch', `var(${COLOURS[place]})`);
      return entry;
    }));
  }

  /** Remember the weights of an instant; one before the newest is taken as the newest. */
  add(time, weights) {
    time = Math.max(time, this.history.at(-1)?.[0] ?? time);
    this.history.push([time, weights]);
    while (this.history.length && this.history[0][0] < time - 1000 * SECONDS) this.history.shift();
  }

  clear() {
    this.history = [];
  }

  draw(time) {
    const { canvas } = this;
    const ratio = Math.min(2, window.devicePixelRatio);
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext('2d', { willReadFrequently: true });  // drawn by the CPU
    const style = getComputedStyle(canvas);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = 'round';
    pen.strokeStyle = style.getPropertyValue('--line');
    pen.lineWidth = ratio;
    for (const level of [0, 0.5, 1]) {
      const y = Math.round((1 - level) * (height - 6 * ratio)) + 3 * ratio;
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
    }
    pen.lineWidth = 1.75 * ratio;
    this.names.forEach((name, place) => {
      pen.strokeStyle = style.getPropertyValue(COLOURS[place]);
      pen.beginPath();
      for (const [at, weights] of this.history) {
        const x = width * (1 - (time - at) / (1000 * SECONDS));
        pen.lineTo(x, (1 - weights[INDEX[name]]) * (height - 6 * ratio) + 3 * ratio);
      }
      pen.stroke();
    });
  }
}
