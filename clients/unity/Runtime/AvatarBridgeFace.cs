// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;
using UnityEngine;

namespace AvatarBridge
{
    /// <summary>
    /// Listens to avatar_bridge and moves the face below this object: blend shapes by name, head and
    /// eyes where bones are given.
    /// </summary>
    [AddComponentMenu("Avatar Bridge/Avatar Bridge Face")]
    [DisallowMultipleComponent]
    public sealed class AvatarBridgeFace : MonoBehaviour
    {
        [Tooltip("Where avatar-bridge publishes: the argument of its option --sink zmq=...")]
        [SerializeField] private string url = "tcp://127.0.0.1:5560";

        [Tooltip("Whom to listen to: the argument of its option --avatar")]
        [SerializeField] private string avatar = "default";

        [Tooltip("Meshes that move; none means all below this object")]
        [SerializeField] private SkinnedMeshRenderer[] renderers = new SkinnedMeshRenderer[0];

        [Tooltip("What moves shapes whose names do not say it")]
        [SerializeField] private List<ShapeRule> rules = new List<ShapeRule>();

        [Tooltip("Mouth leaves eyes and brows to somebody else, for example a camera")]
        [SerializeField] private Channels channels = Channels.All;

        [Tooltip("All weights are multiplied by this")]
        [Range(0f, 2f)]
        [SerializeField] private float gain = 1f;

        [Tooltip("Milliseconds that the face (and its sound) comes later than meant")]
        [Range(0f, 500f)]
        [SerializeField] private float delay;

        [Tooltip("Bone that turns with the head, if any")]
        [SerializeField] private Transform head;

        [Tooltip("Bones of the eyes, if they turn by bones: then the eyeLook shapes stay at rest")]
        [SerializeField] private Transform leftEye;
        [SerializeField] private Transform rightEye;

        private readonly PresentationClock clock = new PresentationClock();
        private readonly List<KeyValuePair<SkinnedMeshRenderer, ShapeMap>> meshes =
            new List<KeyValuePair<SkinnedMeshRenderer, ShapeMap>>();

        private Subscriber subscriber;
        private string problem;
        private Turning headTurning;
        private Turning leftTurning;
        private Turning rightTurning;
        private SkinnedMeshRenderer worn;
        private Action<int, float> wear;

        /// <summary>Raised for each event of the stream: start, flush, mute, end, error.</summary>
        public event Action<StreamEvent> Happened;

        /// <summary>Raised for each piece of sound, with when it came.</summary>
        public event Action<Sound, long> SoundCame;

        public PresentationClock Clock => clock;

        /// <summary>Frames as they wait; its counters say how the connection is.</summary>
        public JitterBuffer Frames { get; private set; }

        /// <summary>What the face wears now.</summary>
        public FacePose Pose { get; } = new FacePose();

        /// <summary>What is known of the stream, or null.</summary>
        public Meta Meta { get; private set; }

        /// <summary>What it is doing, or what is wrong.</summary>
        public string State => problem ?? subscriber?.State ?? "not listening";

        /// <summary>The meshes that move, each with what moves its shapes.</summary>
        public IReadOnlyList<KeyValuePair<SkinnedMeshRenderer, ShapeMap>> Meshes => meshes;

        /// <summary>Look for shapes anew: after meshes or rules have changed.</summary>
        public void Map()
        {
            meshes.Clear();
            foreach (SkinnedMeshRenderer mesh in renderers.Length > 0
                ? renderers : GetComponentsInChildren<SkinnedMeshRenderer>(true))
            {
                if (mesh != null && mesh.sharedMesh != null)
                {
                    meshes.Add(new KeyValuePair<SkinnedMeshRenderer, ShapeMap>(
                        mesh, new ShapeMap(NamesOf(mesh.sharedMesh), rules, channels)));
                }
            }
        }

        private static string[] NamesOf(Mesh mesh)
        {
            var names = new string[mesh.blendShapeCount];
            for (int place = 0; place < names.Length; place++)
            {
                names[place] = mesh.GetBlendShapeName(place);
            }
            return names;
        }

        private void OnEnable()
        {
            wear = (place, weight) => worn.SetBlendShapeWeight(place, 100f * weight);
            Frames = new JitterBuffer(clock);
            clock.Reset();
            Map();
            headTurning = Turning.Of(transform, head);
            leftTurning = Turning.Of(transform, leftEye);
            rightTurning = Turning.Of(transform, rightEye);
            try
            {
                problem = null;
                subscriber = new Subscriber(url, avatar);
            }
            catch (Exception error) when (error is ArgumentException || error is WireException)
            {
                problem = error.Message;
                Debug.LogError($"Avatar Bridge: {problem}", this);
            }
        }

        // Also before the editor reloads scripts: no thread outlives its domain.
        private void OnDisable()
        {
            subscriber?.Dispose();
            subscriber = null;
        }

        private void OnValidate()
        {
            if (isActiveAndEnabled && Application.isPlaying)
            {
                Map();
            }
        }

        private void LateUpdate()
        {
            clock.Trim = (long)(delay * 1e6f);
            while (subscriber != null && subscriber.TryTake(out Arrival arrival))
            {
                Take(arrival);
            }
            if (Frames.Sample(Subscriber.Now, Pose))
            {
                Wear();
            }
        }

        private void Take(Arrival arrival)
        {
            if (arrival.Message is FaceFrame frame)
            {
                Frames.Push(frame, arrival.Ns);
            }
            else if (arrival.Message is Meta meta)
            {
                Meta = meta;
            }
            else if (arrival.Message is Sound sound)
            {
                SoundCame?.Invoke(sound, arrival.Ns);
            }
            else if (arrival.Message is StreamEvent told)
            {
                Happened?.Invoke(told);
            }
        }

        private void Wear()
        {
            bool byBones = Pose.TurnsEyes && leftTurning != null && rightTurning != null;
            if (byBones)
            {
                leftTurning.Turn(Pose.Eyes[0], Pose.Eyes[1], 0f);
                rightTurning.Turn(Pose.Eyes[2], Pose.Eyes[3], 0f);
                Pose.RestLooks();       // eyeballs turn by bones or by shapes, not by both
            }
            if (Pose.TurnsHead)
            {
                headTurning?.Turn(Pose.Head[0], Pose.Head[1], Pose.Head[2]);
            }
            foreach (KeyValuePair<SkinnedMeshRenderer, ShapeMap> pair in meshes)
            {
                worn = pair.Key;
                if (worn != null)
                {
                    pair.Value.Apply(Pose.Weights, gain, wear);
                }
            }
        }

        /// <summary>A bone that turns about the axes of `root`, and goes along with its parent.</summary>
        private sealed class Turning
        {
            private readonly Transform bone;
            private readonly Quaternion around;
            private readonly Quaternion rest;

            private Turning(Transform root, Transform bone)
            {
                this.bone = bone;
                around = Quaternion.Inverse(root.rotation) * bone.parent.rotation;
                rest = bone.localRotation;
            }

            public static Turning Of(Transform root, Transform bone)
            {
                return bone == null || bone.parent == null ? null : new Turning(root, bone);
            }

            /// <summary>By radians to the subject's left, up, and leaning to its left.</summary>
            public void Turn(float yaw, float pitch, float roll)
            {
                // Unity is left-handed: a face that looks along z has its left at -x.
                Quaternion turn = Quaternion.Euler(
                    -pitch * Mathf.Rad2Deg, -yaw * Mathf.Rad2Deg, roll * Mathf.Rad2Deg);
                bone.localRotation = Quaternion.Inverse(around) * turn * around * rest;
            }
        }
    }
}
