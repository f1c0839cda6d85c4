// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

import { VRMLoaderPlugin, VRMUtils } from '@pixiv/three-vrm';
import {
  AmbientLight, Box3, DirectionalLight, Euler, Group, HemisphereLight, Matrix4,
  MeshLambertMaterial, MeshPhongMaterial, NeutralToneMapping, PMREMGenerator, PerspectiveCamera,
  Quaternion, Scene, Vector3, WebGLRenderer,
} from 'three';
import { RoomEnvironment } from 'three/addons/environments/RoomEnvironment.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { Expressions } from './expressions.js';
import { Morphs } from './morphs.js';

const FIELD = 24;               // degrees, a portrait lens
const BODY = 0.8;               // m from which on a model is more than a bust
const CUT = 0.08;               // of the bust that the lower edge of the picture cuts off
const DEPTH = 0.2;              // of the box, before its middle: where the face is fitted
const NARROWEST = 0.78;         // part of the bust's width that must be seen: the head is narrower
const SLOW = 26;                // ms between pictures, smoothed, from which on they get coarser
const FAST = 18;                // and below which they may get finer
const SHARED = 33;              // ms between pictures at least that a processor draws
const GLOSSY = 0.35;            // roughness below which a surface has a highlight
const SETTLING = 40;            // pictures between two changes

/** A head in soft studio light on a canvas. */
export class Stage {
  /** Throws where the browser has no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    this.software = isSoftware();
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: !this.software,
      powerPreference: 'high-performance' });
    this.renderer.toneMapping = NeutralToneMapping;
    this.scene = new Scene();
    this.holder = new Group();
    this.scene.add(this.holder);
    this.angles = new Euler(0, 0, 0, 'YXZ');
    this.nod = new Quaternion();
    this.camera = new PerspectiveCamera(FIELD, 1, 0.01, 20);
    this.ratio = this.software ? 0.75 : Math.min(2, window.devicePixelRatio);
    this.cost = 0;              // ms that a picture takes of this thread, smoothed
    this.interval = 16;         // ms between pictures, smoothed
    this.settled = 0;
    this.free = 0;              // when the next picture may begin
    this.finest = this.software ? 1 : Math.min(2, window.devicePixelRatio);
    this.turn = [0, 0];         // how the user turned the head, radians
    canvas.classList.toggle('faded', !this.software);     // a mask costs a processor too much
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
      this.scene.add(new AmbientLight('#ffffff', 0.75));
    } else {
      const maker = new PMREMGenerator(this.renderer);
      this.scene.environment = maker.fromScene(new RoomEnvironment(), 0.04).texture;
      this.scene.environmentIntensity = 0.7;
      maker.dispose();
    }
  }

  /** Show another head: the bytes of a GLB or VRM. Returns {found, missing}. */
  async load(bytes) {
    const loader = new GLTFLoader();
    loader.register((parser) => new VRMLoaderPlugin(parser));
    const gltf = await loader.parseAsync(bytes, '');
    const { vrm } = gltf.userData;
    if (vrm) VRMUtils.rotateVRM0(vrm);
    const morphs = new Morphs(gltf.scene, vrm ? 'by three' : 'by us');
    const face = vrm ? new Expressions(vrm, morphs) : morphs;
    if (!face.found && !vrm) throw new Error('no shape in it is called like one of the ARKit 52');
    if (this.software) {
      gltf.scene.traverse((node) => {
        if (node.isMesh && !Array.isArray(node.material)) node.material = cheaper(node.material);
      });
    }
    if (this.model) this.#forget(this.model);
    this.model = gltf.scene;
    this.face = face;
    this.pivot = vrm ? vrm.humanoid.getNormalizedBoneNode('head')
      : this.model.getObjectByName('Head') ?? this.model;
    this.rest = this.pivot.quaternion.clone();
    this.mirrored = vrm?.meta.metaVersion === '0' ? -1 : 1;     // made to look backwards
    this.#frame(vrm);
    return { found: face.found, missing: face.missing, note: face.note ?? '' };
  }

  #forget(model) {
    this.holder.remove(model);
    model.traverse((node) => {
      node.geometry?.dispose();
      for (const material of [node.material ?? []].flat()) {
        for (const value of Object.values(material)) if (value?.isTexture) value.dispose();
        material.dispose();
      }
    });
  }

  /** Put the head in the middle, around which it is turned, and the camera before it. */
  #frame(vrm) {
    this.model.updateMatrixWorld(true);
    const box = new Box3().setFromObject(this.model);
    const bone = vrm?.humanoid.getRawBoneNode('head') ?? this.model.getObjectByName('Head');
    if (bone && box.max.y - box.min.y > BODY) {     // a whole body: look at its head
      const head = bone.getWorldPosition(new Vector3());
      box.min.set(head.x - 0.13, head.y - 0.1, head.z - 0.1);
      box.max.set(head.x + 0.13, head.y + 0.24, head.z + 0.12);
    }
    this.box = box;
    const middle = box.getCenter(new Vector3());
    this.holder.position.copy(middle);
    this.holder.rotation.set(0, 0, 0);
    this.model.position.sub(middle);
    this.holder.add(this.model);
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
      const tall = Math.max(size.y * 1.04, (size.x * NARROWEST) / this.camera.aspect);
      // the bust stands on the lower edge of the picture, air is above it
      const height = this.box.min.y + tall / 2 + CUT * size.y;
      const away = tall / 2 / Math.tan((FIELD * Math.PI) / 360) + DEPTH * size.z;
      this.camera.position.set(middle.x, height, middle.z + away);
      this.camera.lookAt(middle.x, height, middle.z);
    }
    this.camera.updateProjectionMatrix();
  }

  /** Wear (52) weights and, where there are some, head angles: yaw, pitch, roll in radians. */
  wear(weights, head) {
    if (!this.face) return;
    this.face.wear(weights);
    const [yaw, pitch, roll] = head ?? [0, 0, 0];
    this.angles.set(-pitch * this.mirrored, yaw, -roll * this.mirrored);
    this.pivot.quaternion.copy(this.rest).multiply(this.nod.setFromEuler(this.angles));
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
    this.holder.rotation.set(this.turn[1], this.turn[0], 0);
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

/** Say whether the processor draws in place of a graphics card; throws without WebGL. */
function isSoftware() {
  const context = document.createElement('canvas').getContext('webgl2');
  if (!context) throw new Error('no WebGL');
  const facts = context.getExtension('WEBGL_debug_renderer_info');
  const name = context.getParameter(facts ? facts.UNMASKED_RENDERER_WEBGL : context.RENDERER);
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

/** Return a material that looks much the same and costs a processor a third. */
function cheaper(material) {
  if (!material.isMeshStandardMaterial) return material;
  const { color, map, vertexColors, side, transparent, opacity, alphaTest, depthWrite, name,
    roughness } = material;
  const shared = { color, map, vertexColors, side, transparent, opacity, alphaTest, depthWrite,
    name };
  return roughness < GLOSSY
    ? new MeshPhongMaterial({ ...shared, shininess: 60, specular: '#555555' })
    : new MeshLambertMaterial(shared);
}
