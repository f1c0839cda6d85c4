// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;

namespace AvatarBridge
{
    /// <summary>What else is true of a frame.</summary>
    [Flags]
    public enum FrameFlags
    {
        None = 0,
        Speech = 1,
        Muted = 2,
        Idle = 4,
        Discontinuity = 8,
    }

    /// <summary>One pose; times in nanoseconds of the sender's clock.</summary>
    public sealed class FaceFrame
    {
        public long Index;
        public long CaptureNs;
        public long PublishNs;
        public long PresentNs;
        public double Fps;
        public float[] Weights;         // 52 in [0, 1], order of Rig.Names
        public float[] Head;            // yaw, pitch, roll in radians, + is the subject's left; or null
        public float[] Eyes;            // left yaw, left pitch, right yaw, right pitch; or null
        public FrameFlags Flags;
        public string Stream;           // id of the run
    }

    /// <summary>What a late subscriber needs to know.</summary>
    public sealed class Meta
    {
        public string Stream;
        public string Avatar;
        public string[] Names;
        public double Fps;
        public double LatencyMs;        // from sound to frame, by the algorithm alone
        public string Bundle;
        public long SampleRate;
    }

    /// <summary>Sound that fits the frames.</summary>
    public sealed class Sound
    {
        public long Start;              // index of the first sample
        public long CaptureNs;
        public long PresentNs;          // when the first sample is to be heard
        public long SampleRate;         // Hz
        public float[] Samples;         // mono, [-1, 1)
    }

    /// <summary>Something that happened to the stream: start, flush, mute, end, error, ...</summary>
    public sealed class StreamEvent
    {
        public string Name;
        public string Detail;
    }

    /// <summary>Bytes that are no message of this wire version.</summary>
    public sealed class WireException : Exception
    {
        public WireException(string message) : base(message)
        {
        }
    }
}
