// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { ServerClock } from './clock.js';
import { Connection } from './connection.js';
import { Curves } from './curves.js';
import { catchFiles } from './drop.js';
import { bindKeys, bindTheme, bindTurning } from './gestures.js';
import { Notice } from './notice.js';
import { Panel, press, wired } from './panel.js';
import { Viewer } from './viewer.js';

const $ = (id) => document.getElementById(id);

const clock = new ServerClock();
const address = new URL('/ws', window.location.href);
address.protocol = address.protocol.replace('http', 'ws');
const connection = new Connection(address, clock);
const curves = new Curves($('curves'), $('legend'));
const panel = new Panel(connection, curves);
const notice = new Notice($('notice'), $('state'));
const viewer = new Viewer({ canvas: $('face'), connection, clock, curves, panel, notice });

async function opened(file) {
  try {
    if (/\.(glb|vrm)$/i.test(file.name)) {
      const report = await viewer.wearHead(await file.arrayBuffer());
      const missing = report.missing.length ? `; it lacks ${report.missing.join(', ')}` : '';
      $('head-report').textContent = `${file.name}: ${report.note
        || `${report.found} of 52 shapes${missing}`}`;
      $('head-report').hidden = false;
      $('own').hidden = false;
    } else {
      await viewer.playFile(file);
    }
  } catch (error) {
    panel.complain(`${file.name}: ${error.message}`);
  }
}

$('choose').onclick = () => $('file').click();
$('file').onchange = () => {
  if ($('file').files[0]) opened($('file').files[0]);
  $('file').value = '';
};
$('again').onclick = () => viewer.replay();
$('live').onclick = () => viewer.goLive();
$('own').onclick = async () => {
  await viewer.wearOurs();
  $('own').hidden = true;
  $('head-report').hidden = true;
};
$('sound').onclick = () => viewer.toggleSound();
viewer.addEventListener('sound', () => {
  const on = viewer.wantsSound && viewer.speaker.state === 'running';
  press($('sound'), on, on ? 'Sound on' : 'Sound off');
});
viewer.addEventListener('mode', () => {
  $('live').hidden = !viewer.playback;
  $('again').hidden = !viewer.playback;
});
wired($('volume'), (value) => viewer.speaker.setVolume(value));
catchFiles(opened);
bindTheme($('theme'));
bindTurning($('face'), viewer);
bindKeys({ s: 'sound', m: 'mute', f: 'flush', n: 'seed', o: 'choose', d: 'theme' }, $('search'));

/** For tests and the curious: where the page stands. */
window.avatarBridge = { state: () => viewer.state(), viewer };
viewer.start();
