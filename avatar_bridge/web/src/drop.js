// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/** Call `take` with every file that is dropped anywhere on the page. */
export function catchFiles(take) {
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle('dropping', depth > 0);
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
  window.addEventListener('dragenter', (event) => holdsFiles(event) && show(1));
  window.addEventListener('dragleave', (event) => holdsFiles(event) && show(-1));
  window.addEventListener('dragover', (event) => event.preventDefault());
  window.addEventListener('drop', (event) => {
    event.preventDefault();
    show(-depth);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}
