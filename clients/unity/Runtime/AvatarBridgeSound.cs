// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using UnityEngine;

namespace AvatarBridge
{
    /// <summary>
    /// Plays the sound of an AvatarBridgeFace in step with its shapes, through the AudioSource
    /// beside it. The publisher must send sound: --sink zmq=tcp://127.0.0.1:5560?audio=1
    /// </summary>
    [AddComponentMenu("Avatar Bridge/Avatar Bridge Sound")]
    [RequireComponent(typeof(AudioSource))]
    public sealed class AvatarBridgeSound : MonoBehaviour
    {
        [Tooltip("Whose sound; none means the face on this object or above it")]
        [SerializeField] private AvatarBridgeFace face;

        private SoundBuffer sound;
        private int outputRate;
        private long lead;

        /// <summary>Sound as it waits; its counters say whether any is missing.</summary>
        public SoundBuffer Buffer => sound;

        private void OnEnable()
        {
            face = face != null ? face : GetComponentInParent<AvatarBridgeFace>();
            if (face == null)
            {
                Debug.LogError("Avatar Bridge: expected an Avatar Bridge Face here or above", this);
                enabled = false;
                return;
            }
            AudioSettings.GetDSPBufferSize(out int length, out int count);
            outputRate = AudioSettings.outputSampleRate;
            lead = (long)(1e9 * length * count / outputRate);
            sound = new SoundBuffer(face.Clock);
            face.SoundCame += Take;
            GetComponent<AudioSource>().Play();     // a source at rest filters nothing
        }

        private void OnDisable()
        {
            if (face != null)
            {
                face.SoundCame -= Take;
            }
        }

        private void Take(Sound piece, long arrived)
        {
            sound.Push(piece, arrived, lead);
        }

        // On the audio thread: what is written now is heard `lead` later.
        private void OnAudioFilterRead(float[] data, int channels)
        {
            sound?.Read(data, channels, outputRate, Subscriber.Now + lead);
        }
    }
}
