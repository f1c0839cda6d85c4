// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { BufferAttribute, DynamicDrawUsage } from 'three';
import { NAMES, shapeOf } from './rig.js';

const STILL = 1e-5;             // weights below it move nothing that one could see

/**
 * One mesh whose shapes are added up here instead of on the GPU.
 *
 * A shape moves few of the vertices and a face wears few of its shapes at a time: this costs a
 * millisecond, while a graphics card reads every vertex of every shape for each picture (and a
 * software one takes a fifth of a second for it).
 */
class SparseMesh {
  constructor(mesh) {
    const { geometry } = mesh;
    this.influences = mesh.morphTargetInfluences;
    this.buffers = ['position', 'normal'].filter((name) => geometry.morphAttributes[name])
      .map((name) => {
        const rest = plainArray(geometry.attributes[name]);
        const attribute = new BufferAttribute(rest.slice(), 3).setUsage(DynamicDrawUsage);
        geometry.setAttribute(name, attribute);
        const relative = geometry.morphTargetsRelative;
        const shapes = geometry.morphAttributes[name]
          .map((target) => sparse(plainArray(target), relative ? null : rest));
        return { rest, attribute, shapes };
      });
    geometry.morphAttributes = {};
    geometry.computeBoundingSphere();
    this.worn = null;
  }

  /** Move the vertices to where the influences want them. */
  update() {
    const key = this.influences.join();
    if (key === this.worn) return;
    this.worn = key;
    for (const { rest, attribute, shapes } of this.buffers) {
      const { array } = attribute;
      array.set(rest);
      shapes.forEach(({ places, deltas }, shape) => {
        const weight = this.influences[shape];
        if (Math.abs(weight) < STILL) return;
        for (let k = 0; k < places.length; k += 1) array[places[k]] += weight * deltas[k];
      });
      attribute.needsUpdate = true;
    }
  }
}

/** Return an attribute's values as floats, whatever it is packed in. */
function plainArray(attribute) {
  const values = new Float32Array(attribute.count * 3);
  for (let vertex = 0; vertex < attribute.count; vertex += 1) {
    values[3 * vertex] = attribute.getX(vertex);
    values[3 * vertex + 1] = attribute.getY(vertex);
    values[3 * vertex + 2] = attribute.getZ(vertex);
  }
  return values;
}

/** Return the places and values of `deltas` that are not zero; minus `rest` if they are whole. */
function sparse(deltas, rest) {
  const values = rest ? deltas.map((value, place) => value - rest[place]) : deltas;
  const places = new Uint32Array(values.length);
  let count = 0;
  for (let place = 0; place < values.length; place += 1) {
    if (values[place] !== 0) places[count++] = place;
  }
  const few = places.slice(0, count);
  return { places: few, deltas: Float32Array.from(few, (place) => values[place]) };
}

/** The 52 weights, put on the shapes of a glTF scene by name. */
export class Morphs {
  /** Of `root`; shapes are added up 'by us' or, where others move them as well, 'by three'. */
  constructor(root, added = 'by us') {
    this.targets = [];          // [influences, place, shape]
    this.meshes = [];
    root.traverse((node) => {
      for (const [name, place] of Object.entries(node.morphTargetDictionary ?? {})) {
        const shape = shapeOf(name);
        if (shape >= 0) this.targets.push([node.morphTargetInfluences, place, shape]);
      }
      if (added === 'by us' && node.isMesh && node.geometry.morphAttributes.position) {
        this.meshes.push(new SparseMesh(node));
      }
    });
    const found = new Set(this.targets.map(([, , shape]) => shape));
    this.missing = NAMES.filter((_, shape) => !found.has(shape));
    this.found = found.size;
  }

  wear(weights) {
    for (const [influences, place, shape] of this.targets) influences[place] = weights[shape];
  }

  /** Before a picture: let the meshes follow. */
  update() {
    for (const mesh of this.meshes) mesh.update();
  }

  /** Return the influence that each shape has now, by name. */
  read() {
    return Object.fromEntries(this.targets.map(([influences, place, shape]) => (
      [NAMES[shape], influences[place]])));
  }
}
