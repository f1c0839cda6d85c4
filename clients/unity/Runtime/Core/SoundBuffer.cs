// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;

namespace AvatarBridge
{
    /// <summary>
    /// Sound that waits for its time and is read at any rate, in step with the frames.
    ///
    /// The reader's clock and the sender's differ: a position that runs ahead or behind is led back
    /// by a speed within half a per cent of the true one, which nobody hears; a jump is jumped.
    /// One thread pushes, another reads.
    /// </summary>
    public sealed class SoundBuffer
    {
        private const double Kept = 2.0;                // seconds of sound
        private const double Apart = 0.05;              // seconds beyond which it jumps
        private const double MostCorrection = 0.005;
        private const double Calm = 0.05;               // of a callback's error: callbacks tremble
        private const double Pull = 0.5;                // of the error, a second

        private readonly PresentationClock clock;
        private readonly object gate = new object();
        private float[] ring = new float[0];
        private long end;               // index after the newest sample
        private long start;             // a sample
        private long present;           // and when it is to be heard
        private long rate;
        private double position;        // of the reader, samples
        private bool reading;

        public SoundBuffer(PresentationClock clock)
        {
            this.clock = clock;
        }

        /// <summary>Output samples for which there was no sound.</summary>
        public long Missing { get; private set; }

        /// <summary>How far the reader was from where it should be, seconds.</summary>
        public double Error { get; private set; }

        /// <summary>
        /// Take sound in; `lead` is how long before it is heard a sample is read, ns.
        /// </summary>
        public void Push(Sound sound, long arrived, long lead)
        {
            if (sound.SampleRate <= 0 || sound.Samples.Length == 0)
            {
                return;
            }
            if (clock.Knows)
            {
                clock.Cover(sound.PresentNs - lead, arrived);
            }
            lock (gate)
            {
                if (sound.SampleRate != rate || sound.Start < end)
                {
                    rate = sound.SampleRate;
                    ring = new float[(int)(Kept * rate)];
                    end = sound.Start;
                    reading = false;
                }
                Fill(sound);
                start = sound.Start;
                present = sound.PresentNs;
            }
        }

        /// <summary>
        /// Write `count` samples for each of `channels` at `outputRate`; the first of them is heard
        /// at `heard` of our clock, ns.
        /// </summary>
        public void Read(float[] into, int channels, int outputRate, long heard)
        {
            lock (gate)
            {
                int count = into.Length / channels;
                if (rate == 0 || !clock.Knows)
                {
                    Array.Clear(into, 0, into.Length);
                    Missing += count;
                    return;
                }
                double step = Step(clock.At(heard), outputRate);
                for (int sample = 0; sample < count; sample++, position += step)
                {
                    float value = At(position);
                    for (int channel = 0; channel < channels; channel++)
                    {
                        into[sample * channels + channel] = value;
                    }
                }
            }
        }

        private double Step(long at, int outputRate)
        {
            double wanted = start + (at - present) * 1e-9 * rate;
            double error = (wanted - position) / rate;
            Error += Calm * (error - Error);
            if (!reading || Math.Abs(error) > Apart)
            {
                position = wanted;
                reading = true;
                Error = 0;
            }
            double correction = Math.Max(-MostCorrection, Math.Min(MostCorrection, Pull * Error));
            return (1 + correction) * rate / outputRate;
        }

        private void Fill(Sound sound)
        {
            for (long gap = Math.Max(end, sound.Start - ring.Length); gap < sound.Start; gap++)
            {
                ring[gap % ring.Length] = 0f;
            }
            long first = Math.Max(sound.Start, sound.Start + sound.Samples.Length - ring.Length);
            end = sound.Start + sound.Samples.Length;
            for (long place = first; place < end; place++)
            {
                ring[place % ring.Length] = sound.Samples[place - sound.Start];
            }
        }

        /// <summary>Return the sound between samples: a cubic through the four around it.</summary>
        private float At(double place)
        {
            long whole = (long)Math.Floor(place);
            if (whole < 1 || whole + 2 >= end || whole - 1 < end - ring.Length)
            {
                Missing++;
                return 0f;
            }
            float part = (float)(place - whole);
            float before = Sample(whole - 1), one = Sample(whole);
            float two = Sample(whole + 1), after = Sample(whole + 2);
            float slope = (two - before) / 2, bend = before - 2.5f * one + 2 * two - after / 2;
            float twist = (after - before) / 2 + 1.5f * (one - two);
            return ((twist * part + bend) * part + slope) * part + one;
        }

        private float Sample(long place)
        {
            return ring[place % ring.Length];
        }
    }
}
