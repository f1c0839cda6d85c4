// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

const STATES = {
  connecting: ['Connecting', '', ''],
  waiting: ['Waiting', 'No stream yet', 'The face moves as soon as somebody sends frames.'],
  live: ['Live', '', ''],
  playing: ['Playing a file', '', ''],
  played: ['The file has ended', '', ''],
  ended: ['Ended', 'The stream has ended', 'Choose a source, or drop a sound file here.'],
  lost: ['Connection lost', 'The stream was lost', 'Trying again; start avatar-bridge if it ended.'],
  blind: ['No WebGL', 'This browser cannot draw in 3D',
    'WebGL is off or missing; the curves and figures work without it.'],
};

/** Says in one place where the page stands. */
export class Notice {
  constructor(box, chip) {
    this.box = box;
    this.chip = chip;
    this.state = '';
  }

  /** Show a state; a stream that has ended can begin `again`. */
  show(state, again) {
    if (state === this.state) return;
    this.state = state;
    const [short, title, text] = STATES[state];
    this.chip.dataset.state = state;
    this.chip.textContent = short;
    this.box.hidden = !title;
    this.box.querySelector('h2').textContent = title;
    this.box.querySelector('p').textContent = text;
    const button = this.box.querySelector('button');
    button.hidden = state !== 'ended';
    button.textContent = 'Start again';
    button.onclick = again;
  }

  /** Offer what only a click can do: browsers play no sound before one. */
  offer(text, act) {
    const button = this.box.querySelector('button');
    if (!button.hidden && button.textContent === text) return;
    this.box.hidden = false;
    this.box.querySelector('h2').textContent = 'Sound is off';
    this.box.querySelector('p').textContent = 'Browsers play nothing before a click.';
    button.textContent = text;
    button.hidden = false;
    button.onclick = act;
    this.state = 'offer';
  }
}
