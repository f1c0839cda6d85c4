// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { INDEX, NAMES } from './rig.js';

const $ = (id) => document.getElementById(id);
const REGIONS = { Jaw: 'jaw', Mouth: 'mouth', Eyes: 'eye', Brows: 'brow', Cheeks: 'cheek',
  Nose: 'nose', Tongue: 'tongue' };
const percent = (value) => `${Math.round(100 * value)} %`;

/** The controls: what the user does becomes commands, what the server says becomes figures. */
export class Panel {
  constructor(connection, curves) {
    this.connection = connection;
    this.curves = curves;
    this.seed = 0;
    this.sliders = new Map();
    this.#buttons();
    this.#feel();
    this.#shapes();
  }

  #buttons() {
    const { connection } = this;
    $('mute').onclick = () => connection.send('mute', { on: !this.muted });
    $('flush').onclick = () => connection.send('flush');
    $('seed').onclick = () => connection.send('seed', { value: this.seed + 1 });
    $('source').onchange = () => connection.send('source', { id: $('source').value });
    $('style').onchange = () => connection.send('style', { name: $('style').value });
    $('reset').onclick = () => {
      for (const [name, slider] of this.sliders) if (Number(slider.value) !== 1) set(slider, 1, name);
    };
    const set = (slider, value) => {
      slider.value = value;
      slider.dispatchEvent(new Event('input'));
    };
  }

  #feel() {
    wired($('intensity'), (value) => this.connection.send('gain', { name: 'all', value }));
    wired($('idle'), (value) => this.connection.send('idle', { value }));
  }

  #shapes() {
    $('shapes').replaceChildren(...Object.entries(REGIONS).map(([title, prefix]) => {
      const group = document.createElement('details');
      group.open = title === 'Jaw';
      const summary = document.createElement('summary');
      summary.textContent = title;
      group.append(summary, ...NAMES.filter((name) => name.startsWith(prefix))
        .map((name) => this.#shape(name)));
      return group;
    }));
    $('search').oninput = () => this.#find($('search').value.trim().toLowerCase());
  }

  #shape(name) {
    const row = document.createElement('div');
    row.className = 'shape';
    row.dataset.name = name;
    row.innerHTML = `<input type="checkbox" aria-label="Plot ${name}" title="Plot">
      <span class="name">${name}<i></i></span>
      <input type="range" min="0" max="2" step="0.05" value="1" aria-label="Gain of ${name}">
      <span class="value" aria-hidden="true">1.00</span>`;
    const [plot, slider] = row.querySelectorAll('input');
    plot.checked = this.curves.names.includes(name);
    plot.onchange = () => {
      const others = this.curves.names.filter((other) => other !== name);
      this.curves.choose(plot.checked ? [name, ...others] : others);
      this.#tick();
    };
    slider.oninput = () => {
      label(slider, Number(slider.value).toFixed(2));
      this.connection.send('gain', { name, value: Number(slider.value) });
    };
    this.sliders.set(name, slider);
    return row;
  }

  /** Check just the shapes that are plotted. */
  #tick() {
    for (const row of document.querySelectorAll('.shape')) {
      row.querySelector('input').checked = this.curves.names.includes(row.dataset.name);
    }
  }

  #find(words) {
    for (const group of $('shapes').children) {
      const rows = [...group.querySelectorAll('.shape')];
      for (const row of rows) row.hidden = !row.dataset.name.toLowerCase().includes(words);
      const some = rows.some((row) => !row.hidden);
      group.hidden = !some;
      if (words) group.open = some;
    }
  }

  /** Offer what only a session can do, or not where there is none. */
  offer(session) {
    for (const id of ['stream', 'intensity', 'idle']) $(id).disabled = !session;
    for (const slider of this.sliders.values()) slider.disabled = !session;
  }

  /** Show what the server says of the session. */
  status(told) {
    this.muted = told.muted;
    this.seed = told.seed;
    press($('mute'), told.muted, told.muted ? 'Muted' : 'Mute');
    $('seed').querySelector('small').textContent = told.seed;
    choices($('source'), told.sources.map(({ id, name }) => [id, name]), told.source);
    choices($('style'), told.styles.map((style) => [style, style]), told.style || told.styles[0]);
    $('style-row').hidden = told.styles.length < 2;
    settled($('idle'), told.idle);
    settled($('intensity'), told.gains.all ?? 1);
    for (const [name, slider] of this.sliders) {
      if (name in told.gains) settled(slider, told.gains[name]);
    }
    this.#level(told.level);
  }

  #level([rms, peak]) {
    const place = (decibel) => Math.min(1, Math.max(0, (decibel + 60) / 60));
    const meter = $('level');
    meter.firstElementChild.style.transform = `scaleX(${place(rms)})`;
    meter.lastElementChild.style.left = `calc(${100 * place(peak)}% - 1px)`;
    meter.setAttribute('aria-valuenow', Math.round(Math.max(-60, rms)));
    $('level-text').textContent = rms > -100 ? `${Math.round(rms)} dBFS` : 'silence';
  }

  /** Show the values of this moment beside the sliders that can be seen. */
  values(weights) {
    for (const group of $('shapes').children) {
      if (!group.open || group.hidden) continue;
      for (const row of group.querySelectorAll('.shape')) {
        row.children[1].style.setProperty('--value', weights[INDEX[row.dataset.name]].toFixed(3));
      }
    }
  }

  figures(entries) {
    const list = $('figures');
    if (list.children.length !== 2 * entries.length) {
      list.replaceChildren(...entries.flatMap(([title]) => {
        const term = document.createElement('dt');
        term.textContent = title;
        return [term, document.createElement('dd')];
      }));
    }
    const places = list.querySelectorAll('dd');
    entries.forEach(([, value], place) => { places[place].textContent = value; });
  }

  /** Show a failure for a while. */
  complain(text) {
    $('toast').textContent = text;
    $('toast').hidden = false;
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => { $('toast').hidden = true; }, 8000);
  }
}

/** Call `act` with the slider's value, and show it in percent. */
export function wired(slider, act) {
  slider.oninput = () => {
    label(slider, percent(Number(slider.value)));
    act(Number(slider.value));
  };
}

/** Move a slider that the user does not hold to where the server has it. */
function settled(slider, value) {
  if (slider.matches(':active') || Math.abs(slider.value - value) < 0.026) return;
  slider.value = value;
  label(slider, slider.closest('.shape') ? value.toFixed(2) : percent(value));
}

/** Say a slider's value beside it, and to screen readers. */
function label(slider, text) {
  slider.parentElement.querySelector('.value').textContent = text;
  slider.setAttribute('aria-valuetext', text);
}

export function press(button, pressed, text) {
  button.setAttribute('aria-pressed', pressed);
  if (button.textContent !== text) button.textContent = text;
}

function choices(select, entries, chosen) {
  const key = JSON.stringify(entries);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...entries.map(([value, name]) => new Option(name, value)));
  }
  if (!select.matches(':focus')) select.value = chosen;
}
