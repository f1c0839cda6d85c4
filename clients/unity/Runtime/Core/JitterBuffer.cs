// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;

namespace AvatarBridge
{
    /// <summary>What a face looks like at one moment.</summary>
    public sealed class FacePose
    {
        public readonly float[] Weights = new float[Rig.Count];
        public readonly float[] Head = new float[3];    // yaw, pitch, roll, radians
        public readonly float[] Eyes = new float[4];    // left yaw, left pitch, right yaw, right pitch
        public bool TurnsHead;                          // the sender says how the head stands
        public bool TurnsEyes;
        public FrameFlags Flags;
        public long Index = -1;                         // of the frame that was due last
        public long At;                                 // the sender's time that is shown, ns

        /// <summary>Take the eyes' direction out of the weights: bones turn them.</summary>
        public void RestLooks()
        {
            for (int shape = 0; shape < Weights.Length; shape++)
            {
                Weights[shape] = Rig.IsLook(shape) ? 0f : Weights[shape];
            }
        }
    }

    /// <summary>
    /// Frames that wait for their time, in order, shown by presentation time and not by arrival.
    /// Between two frames the pose is a mixture; without frames the face goes to rest.
    /// </summary>
    public sealed class JitterBuffer
    {
        private const int MostWaiting = 256;
        private const long Hold = 100000000;            // ns without a frame before the face fades
        private const long Fade = 300000000;
        private const long Jump = 1000000000;

        private readonly List<FaceFrame> frames = new List<FaceFrame>();    // [0] is or was due
        private readonly PresentationClock clock;
        private string stream;
        private long newest = -1;
        private long shown = long.MinValue;

        public JitterBuffer(PresentationClock clock)
        {
            this.clock = clock;
        }

        public long Received { get; private set; }

        /// <summary>Frames that did not come in time, by their numbers.</summary>
        public long Lost { get; private set; }

        /// <summary>Frames that came after a later one was shown.</summary>
        public long TooLate { get; private set; }

        /// <summary>Take a frame in, in any order.</summary>
        public void Push(FaceFrame frame, long arrived)
        {
            if (frame.Stream != stream)
            {
                Begin(frame);
            }
            Received++;
            clock.Learn(frame.PublishNs, arrived);
            clock.Cover(frame.PresentNs, arrived);
            Lost += Math.Max(0, frame.Index - newest - 1);
            int place = frames.Count;
            while (place > 0 && frames[place - 1].Index > frame.Index)
            {
                place--;
            }
            if (place > 0 ? frames[place - 1].Index == frame.Index : IsShown(frames.Count))
            {
                TooLate++;
                return;
            }
            if (place > 0 && frames[place - 1].PresentNs - frame.PresentNs > Jump)
            {
                frames.RemoveRange(0, place);           // the sender's clock was set back
                place = 0;
            }
            Lost -= frame.Index < newest ? 1 : 0;       // it was only overtaken
            newest = Math.Max(newest, frame.Index);
            frames.Insert(place, frame);
            if (frames.Count > MostWaiting)
            {
                frames.RemoveAt(0);
            }
        }

        /// <summary>Fill `pose` with what is to be seen at `now`; false while nothing is.</summary>
        public bool Sample(long now, FacePose pose)
        {
            // A delay that grows stops the face for a moment; only a clock that was set turns it back.
            long at = clock.At(now);
            shown = at > shown || at < shown - Jump ? at : shown;
            while (frames.Count > 1 && frames[1].PresentNs <= shown)
            {
                frames.RemoveAt(0);
            }
            if (!IsShown(frames.Count))
            {
                return false;
            }
            FaceFrame next = frames.Count > 1 ? frames[1] : null;
            Mix(pose, frames[0], next != null && (next.Flags & FrameFlags.Discontinuity) == 0
                ? next : frames[0]);
            return true;
        }

        private bool IsShown(int count)
        {
            return count > 0 && frames[0].PresentNs <= shown;
        }

        private void Begin(FaceFrame first)
        {
            stream = first.Stream;
            frames.Clear();
            clock.Reset();
            newest = first.Index - 1;
            shown = long.MinValue;
        }

        private void Mix(FacePose pose, FaceFrame frame, FaceFrame next)
        {
            long span = next.PresentNs - frame.PresentNs;
            float part = span > 0 ? (float)(shown - frame.PresentNs) / span : 0f;
            long silent = next == frame ? shown - frame.PresentNs - Hold : 0;
            float life = 1f - Math.Max(0f, Math.Min(1f, (float)silent / Fade));
            Mix(pose.Weights, frame.Weights, next.Weights, part, life);
            pose.TurnsHead = Mix(pose.Head, frame.Head, next.Head, part, life);
            pose.TurnsEyes = Mix(pose.Eyes, frame.Eyes, next.Eyes, part, life);
            pose.Flags = frame.Flags;
            pose.Index = frame.Index;
            pose.At = shown;
        }

        private static bool Mix(float[] into, float[] from, float[] to, float part, float life)
        {
            for (int place = 0; place < into.Length; place++)
            {
                float value = from == null ? 0f : from[place];
                float target = from == null || to == null ? value : to[place];
                into[place] = life * (value + part * (target - value));
            }
            return from != null;
        }
    }
}
