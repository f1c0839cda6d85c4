# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
GLSL of the portrait: a head in a studio of three soft lights.

A processor draws this, not a graphics card, and pixels are what costs: soft light is added up at
the vertices, of which there are fewer, and only gleams at the pixels; no `pow` there. Light is
linear; the shader writes sRGB itself. Directions: x to the right of the picture (the subject's
left), y up, z to the camera.
"""

from typing import Final

LAMPS: Final = """
const vec3 LAMP[3] = vec3[3](                   // key from the upper left, fill, one from behind
    vec3(-0.46, 0.52, 0.72), vec3(0.80, 0.11, 0.59), vec3(0.53, 0.43, -0.73));
"""

VERTEX: Final = """
#version 330
""" + LAMPS + """
in vec3 position;       // moved by the shapes, metres
in vec3 normal;
in vec2 uv;
in vec4 tint;           // rgb linear; a is how open the surface lies to the room
uniform mat4 camera;
uniform mat3 turn;      // of the head
uniform vec3 pivot;
uniform vec2 neck;      // heights where the neck begins to follow the head, and follows fully
uniform vec2 ends;      // heights between which the neck comes out of the wall
uniform vec3 eye;       // of the beholder
uniform vec4 base;      // linear colour of the material
uniform vec2 surface;   // roughness, how much light goes through
out vec3 light;         // that the surface gives back in all directions
out vec3 facing;
out vec4 spot;          // in the picture on the surface; z fades the neck, w is openness

const vec3 SKY = vec3(0.205, 0.225, 0.26);
const vec3 GROUND = vec3(0.120, 0.088, 0.072);
const vec3 THROUGH = vec3(0.42, 0.20, 0.13);    // how far light creeps around an edge of skin
const vec3 POWER[3] = vec3[3](
    vec3(1.06, 0.98, 0.88), vec3(0.20, 0.22, 0.27), vec3(0.72, 0.75, 0.82));

void main() {
    float follows = smoothstep(neck.x, neck.y, position.y);
    vec3 at = mix(position, turn * (position - pivot) + pivot, follows);
    vec3 n = normalize(mix(normal, turn * normal, follows));
    vec3 view = normalize(eye - at);
    vec3 wrap = THROUGH * surface.y;
    vec3 soft = mix(GROUND, SKY, 0.5 + 0.5 * n.y) * tint.a;
    for (int lamp = 0; lamp < 3; ++lamp) {
        vec3 across = (dot(n, LAMP[lamp]) + wrap) / ((1.0 + wrap) * (1.0 + wrap));
        soft += POWER[lamp] * max(across, vec3(0.0)) * mix(1.0, tint.a, 0.8);
    }
    // Light that came in elsewhere leaves in the dark places of the skin as a breath of red.
    soft += surface.y * vec3(0.050, 0.014, 0.009) * (1.0 - tint.a);
    // The rim of a face against the wall: skin is brighter at a grazing look.
    float grazing = 1.0 - max(dot(n, view), 0.0);
    soft += SKY * 0.45 * grazing * grazing * grazing * grazing * tint.a;
    light = base.rgb * tint.rgb * soft;
    facing = n;
    spot = vec4(uv, smoothstep(ends.x, ends.y, position.y), tint.a);
    gl_Position = camera * vec4(at, 1.0);
}
"""

FRAGMENT: Final = LAMPS + """
in vec3 light;
in vec3 facing;
in vec4 spot;
out vec4 color;
uniform sampler2D picture;      // on the surface; stored as square roots
uniform sampler2D wall;
uniform float alpha;
uniform vec2 shine;             // fourth power of roughness, strength
uniform vec4 lens;              // from pixels to the direction of the beholder

float gleam(vec3 n, vec3 h) {
    float across = max(dot(n, h), 0.0);
    float d = across * across / dot(h, h) * (shine.x - 1.0) + 1.0;
    return shine.x / (d * d);
}

vec3 encoded(vec3 light) {
    // Filmic shoulder (Narkowicz), then sRGB by three square roots (Chilliant).
    light = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14);
    light = clamp(light, 0.0, 1.0);
    vec3 one = sqrt(light);
    vec3 two = sqrt(one);
    return 0.585122381 * one + 0.783140355 * two - 0.368262736 * sqrt(two);
}

void main() {
    vec4 paint = texture(picture, spot.xy);
    vec3 n = normalize(facing);
    vec3 view = normalize(vec3(lens.xy + lens.zw * gl_FragCoord.xy, 1.0));
    float shiny = 0.040 * gleam(n, LAMP[0] + view) + 0.010 * gleam(n, LAMP[1] + view);
#ifdef EYE
    // A window in the eye.
    vec2 pane = abs(reflect(-view, n).xy - vec2(-0.40, 0.46));
    shiny += 0.8 * (1.0 - smoothstep(0.10, 0.17, max(pane.x, pane.y)));
#endif
    vec3 seen = encoded(light * paint.rgb * paint.rgb + shiny * shine.y * spot.w);
    vec3 behind = texelFetch(wall, ivec2(gl_FragCoord.xy), 0).rgb;
    color = vec4(mix(behind, seen, spot.z), alpha * paint.a);
}
"""

FLAT_VERTEX: Final = """
#version 330
in vec2 corner;
out vec2 place;
void main() {
    place = corner * 0.5 + 0.5;
    gl_Position = vec4(corner, 1.0, 1.0);
}
"""

WALL_FRAGMENT: Final = """
#version 330
in vec2 place;          // 0..1 from the top left
out vec4 color;
uniform sampler2D wall;
void main() { color = texelFetch(wall, ivec2(gl_FragCoord.xy), 0); }
"""

SMALLER_FRAGMENT: Final = """
#version 330
in vec2 place;
out vec4 color;
uniform sampler2D drawn;
void main() { color = texture(drawn, place); }
"""

DEPTH_VERTEX: Final = """
#version 330
in vec3 position;       // within the unit sphere
uniform mat3 turn;
void main() {
    vec3 turned = turn * position;
    gl_Position = vec4(turned.xy, -turned.z, 1.0);
}
"""

DEPTH_FRAGMENT: Final = """
#version 330
void main() {}
"""
