// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { VRMLoaderPlugin, VRMUtils } from '@pixiv/three-vrm';
import {
  AmbientLight, Box3, DirectionalLight, HemisphereLight, Matrix4, NeutralToneMapping, PMREMGenerator,
  PerspectiveCamera, Scene, Vector3, WebGLRenderer,
} from 'three';
import { RoomEnvironment } from 'three/addons/environments/RoomEnvironment.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { Expressions, Morphs } from './morphs.js';

const FIELD = 24;               // degrees, a portrait lens
const SLOW = 26;                // ms between pictures, smoothed, from which on they get coarser
const FAST = 18;                // and below which they may get finer
const SHARED = 33;              // ms between pictures at least that a processor draws
const SETTLING = 40;            // pictures between two changes

/** A head in soft studio light on a canvas. */
export class Stage {
  /** Throws where the browser has no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: true,
      preserveDrawingBuffer: false, powerPreference: 'high-performance' });
    this.renderer.toneMapping = NeutralToneMapping;
    this.software = /swiftshader|llvmpipe|software/i.test(rendererName(this.renderer));
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FIELD, 1, 0.01, 20);
    this.ratio = this.software ? 0.75 : Math.min(2, window.devicePixelRatio);
    this.cost = 0;              // ms that a picture takes of this thread, smoothed
    this.interval = 16;         // ms between pictures, smoothed
    this.settled = 0;
    this.free = 0;              // when the next picture may begin
    this.finest = this.software ? 1 : Math.min(2, window.devicePixelRatio);
    this.turn = [0, 0];         // how the user turned the head, radians
    this.#light();
    new ResizeObserver(() => this.#fit()).observe(canvas.parentElement);
  }

  #light() {
    const key = new DirectionalLight('#fff1e2', 2.3);
    key.position.set(0.9, 1.1, 1.6);
    const fill = new DirectionalLight('#dbe6ff', 0.8);
    fill.position.set(-1.6, 0.3, 1.1);
    const rim = new DirectionalLight('#ffffff', 1.6);
    rim.position.set(-0.6, 1.2, -1.6);
    this.scene.add(key, fill, rim, new HemisphereLight('#ffffff', '#b59e90', 0.75));
    if (this.software) {
      this.scene.add(new AmbientLight('#ffffff', 0.35));
    } else {
      const maker = new PMREMGenerator(this.renderer);
      this.scene.environment = maker.fromScene(new RoomEnvironment(), 0.04).texture;
      this.scene.environmentIntensity = 0.55;
      maker.dispose();
    }
  }

  /** Show another head: the bytes of a GLB or VRM. Returns {found, missing}. */
  async load(bytes) {
    const loader = new GLTFLoader();
    loader.register((parser) => new VRMLoaderPlugin(parser));
    const gltf = await loader.parseAsync(bytes, '');
    const { vrm } = gltf.userData;
    const face = vrm ? new Expressions(vrm) : new Morphs(gltf.scene);
    if (!face.found && !vrm) throw new Error('no shape in it is called like one of the ARKit 52');
    if (vrm) VRMUtils.rotateVRM0(vrm);
    if (this.model) this.#forget(this.model);
    this.model = gltf.scene;
    this.face = face;
    this.scene.add(this.model);
    this.pivot = vrm ? vrm.humanoid.getNormalizedBoneNode('head')
      : this.model.getObjectByName('Head') ?? this.model;
    this.rest = this.pivot.rotation.clone();
    this.vrm = vrm;
    this.#frame(vrm);
    return { found: face.found, missing: face.missing };
  }

  #forget(model) {
    this.scene.remove(model);
    model.traverse((node) => {
      node.geometry?.dispose();
      for (const material of [node.material ?? []].flat()) {
        for (const value of Object.values(material)) if (value?.isTexture) value.dispose();
        material.dispose();
      }
    });
  }

  /** Put the camera where the head fills the picture. */
  #frame(vrm) {
    this.model.updateMatrixWorld(true);
    const box = new Box3().setFromObject(this.model);
    if (vrm) {                  // a whole body: look at its head
      const head = vrm.humanoid.getRawBoneNode('head').getWorldPosition(new Vector3());
      box.min.set(head.x - 0.13, head.y - 0.08, head.z - 0.1);
      box.max.set(head.x + 0.13, head.y + 0.22, head.z + 0.12);
    }
    this.box = box;
    this.#fit();
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) return;
    this.renderer.setPixelRatio(this.ratio);
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    if (this.box) {
      const size = this.box.getSize(new Vector3());
      const middle = this.box.getCenter(new Vector3());
      const tall = Math.max(size.y * 1.12, (size.x * 1.2) / this.camera.aspect);
      const away = tall / 2 / Math.tan((FIELD * Math.PI) / 360) + size.z / 2;
      this.camera.position.set(middle.x, middle.y + 0.02 * size.y, middle.z + away);
      this.camera.lookAt(middle);
    }
    this.camera.updateProjectionMatrix();
  }

  /** Wear (52) weights and, where there are some, head angles: yaw, pitch, roll in radians. */
  wear(weights, head) {
    if (!this.face) return;
    this.face.wear(weights);
    const [yaw, pitch, roll] = head ?? [0, 0, 0];
    this.pivot.rotation.set(this.rest.x - pitch, this.rest.y + yaw, this.rest.z - roll, 'YXZ');
  }

  /**
   * Draw, unless the picture before is not finished: then false, and the page stays quick.
   * Gets coarser where the machine is too slow, and finer again.
   */
  draw(now) {
    if (!this.model) return false;
    const gl = this.renderer.getContext();
    if (this.fence) {
      if (gl.getSyncParameter(this.fence, gl.SYNC_STATUS) !== gl.SIGNALED) return false;
      gl.deleteSync(this.fence);
      this.fence = null;
      // A processor that draws in place of a graphics card has other things to do as well.
      this.free = this.software ? this.drawn + SHARED : now;
    }
    if (now < this.free) return false;
    this.face.update();
    this.model.rotation.set(this.turn[1], this.turn[0], 0);
    this.renderer.render(this.scene, this.camera);
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.cost += 0.08 * (performance.now() - now - this.cost);
    const interval = now - (this.drawn ?? now);
    this.drawn = now;
    if (interval < 200) this.interval += 0.08 * (interval - this.interval);
    this.#adapt();
    return true;
  }

  /** Return the matrix (16, by columns) from the model's space to the picture's, -1 to 1. */
  look() {
    if (!this.model) return null;
    return new Matrix4().multiplyMatrices(this.camera.projectionMatrix,
      this.camera.matrixWorldInverse).multiply(this.model.matrixWorld).toArray();
  }

  #adapt() {
    this.settled += 1;
    if (this.settled < SETTLING) return;
    if (this.interval > SLOW && this.ratio > 0.3) {
      this.finest = Math.max(0.3, 0.95 * this.ratio);     // what was too fine is not tried again
      this.ratio = Math.max(0.3, 0.75 * this.ratio);
    } else if (this.interval < FAST && this.ratio < this.finest) {
      this.ratio = Math.min(this.finest, 1.15 * this.ratio);
    } else {
      return;
    }
    this.settled = 0;
    this.#fit();
  }
}

function rendererName(renderer) {
  const context = renderer.getContext();
  const facts = context.getExtension('WEBGL_debug_renderer_info');
  return String(context.getParameter(facts ? facts.UNMASKED_RENDERER_WEBGL : context.RENDERER));
}
