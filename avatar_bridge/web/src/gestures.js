// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

const STEP = 0.12;              // radians an arrow key turns the head
const LIMIT = { yaw: 1.2, pitch: 0.5 };
const clamp = (value, limit) => Math.min(limit, Math.max(-limit, value));

/** Turn the head by dragging and by arrow keys; a double click looks straight again. */
export function bindTurning(canvas, viewer) {
  let held = null;
  const turn = (yaw, pitch) => viewer.turn(
    clamp(viewer.turned[0] + yaw, LIMIT.yaw), clamp(viewer.turned[1] + pitch, LIMIT.pitch));
  canvas.addEventListener('pointerdown', (event) => {
    held = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!held) return;
    turn((event.clientX - held[0]) / 200, event.pointerType === 'mouse'
      ? (event.clientY - held[1]) / 300 : 0);
    held = [event.clientX, event.clientY];
  });
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, () => { held = null; });
  }
  canvas.addEventListener('dblclick', () => viewer.turn(0, 0));
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP], Home: [-viewer.turned[0], -viewer.turned[1]] }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(...step);
  });
}

/** Click a button when its letter is typed, unless somebody is writing. */
export function bindKeys(keys, search) {
  window.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey
      || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === '/') {
      event.preventDefault();
      search.focus();
    } else if (keys[event.key.toLowerCase()]) {
      document.getElementById(keys[event.key.toLowerCase()]).click();
    }
  });
}

/** Light or dark: as the system has it, until the user chooses. */
export function bindTheme(button) {
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    const chosen = localStorage.getItem('theme');
    document.documentElement.dataset.theme = chosen ?? (dark.matches ? 'dark' : 'light');
  };
  button.onclick = () => {
    const now = document.documentElement.dataset.theme;
    localStorage.setItem('theme', now === 'dark' ? 'light' : 'dark');
    apply();
  };
  dark.addEventListener('change', apply);
  apply();
}
