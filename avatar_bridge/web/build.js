// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/** Bundle the page into ../assets/web: `npm install && npm run build`. */

import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const OUT = new URL('../assets/web/', import.meta.url).pathname;
const SOURCE = new URL('src/', import.meta.url).pathname;
const PACKAGES = ['three', '@pixiv/three-vrm', '@msgpack/msgpack'];

mkdirSync(OUT, { recursive: true });
await build({
  entryPoints: [`${SOURCE}main.js`], outfile: `${OUT}app.js`, bundle: true, format: 'esm',
  minify: true, target: 'es2022', legalComments: 'none', logLevel: 'warning',
});
for (const name of ['index.html', 'style.css', 'icon.svg']) cpSync(SOURCE + name, OUT + name);

const notices = PACKAGES.map((name) => {
  const folder = new URL(`node_modules/${name}/`, import.meta.url).pathname;
  const { version, license } = JSON.parse(readFileSync(`${folder}package.json`));
  const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(folder + file) : ''}\n`;
});
writeFileSync(`${OUT}LICENSES.txt`, `Bundled in app.js:\n\n${notices.join('\n')}`);

const hash = createHash('sha256');
for (const name of [...readdirSync(SOURCE).sort().map((entry) => `src/${entry}`), 'package.json']) {
  hash.update(name).update(readFileSync(new URL(name, import.meta.url)));
}
writeFileSync(`${OUT}sources.sha256`, `${hash.digest('hex')}\n`);
