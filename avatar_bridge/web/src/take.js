// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { readTake } from './wire.js';

const LEAD = 150;               // ms between a click and the first sound
const PIECE = 0.1;              // s of sound handed over at a time
const AHEAD = 400;              // ms of it that are scheduled ahead
const LARGEST = 64 * 2 ** 20;
const TRAIL = 300;              // ms that the face takes to come to rest behind the last frame

/** Have the server read a file: sound is animated, recordings are returned as they are. */
export async function fetchTake(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 64 MB`);
  const recorded = /\.(csv|npz|jsonl)$/i.test(file.name);
  const answer = await fetch(recorded
    ? `/api/recording?name=${encodeURIComponent(file.name)}` : '/api/animate',
  { method: 'POST', body: await file.arrayBuffer() });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the server answered ${answer.status}`);
  }
  return readTake(await answer.arrayBuffer());
}

/** A recording that plays: frames by the clock of the page, and the sound that fits. */
export class Playback {
  constructor(take, speaker) {
    this.take = take;
    this.speaker = speaker;
    this.start = performance.now() + LEAD;
    this.told = 0;              // samples that were handed to the speaker
    this.shown = -1;
    this.rests = false;         // the face came to rest behind the last frame
    this.speaker.reset();
  }

  get ended() {
    return performance.now() - this.start > 1000 * this.take.seconds + TRAIL;
  }

  /** Return the frame to show now, or null where it is shown already. */
  frame(now) {
    this.#speak(now);
    const { frames, fps } = this.take;
    const index = Math.floor(((now - this.start) / 1000) * fps + 1e-6);
    if (index < 0 || index === this.shown || this.rests) return null;
    this.shown = index;
    if (index < frames.length) return frames[index];
    const last = frames.at(-1);
    this.rests = this.ended;
    const left = this.rests ? 0 : Math.max(0, 1 - (now - this.start - 1000 * this.take.seconds) / TRAIL);
    const less = (value) => value * left;
    return { ...last, index, weights: last.weights.map(less),
      head: last.head?.map(less) ?? null, speech: false };
  }

  #speak(now) {
    const { samples, sampleRate } = this.take;
    const until = Math.max(0, now + AHEAD - this.start) / 1000;
    while (this.told < samples.length && this.told / sampleRate < until) {
      const piece = samples.subarray(this.told, this.told + Math.round(PIECE * sampleRate));
      const present = (1000 * this.told) / sampleRate;
      // a page that was hidden for a while does not make up for it
      if (this.start + present > now - 1000 * PIECE) {
        this.speaker.play(piece.slice(), this.start + present, present);
      }
      this.told += piece.length;
    }
  }
}
