// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;

namespace AvatarBridge
{
    /// <summary>
    /// Wire version 1: payloads to messages; no socket. Elements beyond the known ones are ignored.
    /// </summary>
    public static class Wire
    {
        public const int Version = 1;
        public const string Layout = "arkit_apple";

        /// <summary>Return what to subscribe to for everything about one avatar.</summary>
        public static string Prefix(string avatar)
        {
            return $"ab/{Version}/{avatar}/";
        }

        /// <summary>Return the last part of a topic: face, meta, audio or event.</summary>
        public static string KindOf(string topic)
        {
            return topic.Substring(topic.LastIndexOf('/') + 1);
        }

        /// <summary>Return a FaceFrame, Meta, Sound or StreamEvent; throws WireException.</summary>
        public static object Read(string kind, byte[] payload)
        {
            switch (kind)
            {
                case "face": return ReadFace(payload);
                case "meta": return ReadMeta(payload);
                case "audio": return ReadSound(payload);
                case "event": return ReadEvent(payload);
                default: throw new WireException($"expected face, meta, audio or event, got {kind}");
            }
        }

        public static FaceFrame ReadFace(byte[] payload)
        {
            MessagePackReader reader = Begin(payload, 2048, 12, out int rest);
            var frame = new FaceFrame
            {
                Index = FromZero(reader.ReadInteger()),
                CaptureNs = reader.ReadInteger(),
                PublishNs = reader.ReadInteger(),
                PresentNs = reader.ReadInteger(),
                Fps = FromZero(reader.ReadNumber()),
            };
            string layout = reader.ReadText();
            if (layout != Layout)
            {
                throw new WireException($"expected the layout {Layout}, got {layout}");
            }
            frame.Weights = Floats(reader.ReadBinary(), Rig.Count);
            frame.Head = reader.TryReadNil() ? null : Floats(reader.ReadBinary(), 3);
            frame.Eyes = reader.TryReadNil() ? null : Floats(reader.ReadBinary(), 4);
            frame.Flags = (FrameFlags)FromZero(reader.ReadInteger());
            frame.Stream = reader.ReadText();
            End(ref reader, rest);
            return frame;
        }

        public static Meta ReadMeta(byte[] payload)
        {
            MessagePackReader reader = Begin(payload, 65536, 8, out int rest);
            var meta = new Meta { Stream = reader.ReadText(), Avatar = reader.ReadText() };
            meta.Names = new string[reader.ReadArray()];
            for (int place = 0; place < meta.Names.Length; place++)
            {
                meta.Names[place] = reader.ReadText();
            }
            meta.Fps = FromZero(reader.ReadNumber());
            meta.LatencyMs = FromZero(reader.ReadNumber());
            meta.Bundle = reader.ReadText();
            meta.SampleRate = FromZero(reader.ReadInteger());
            End(ref reader, rest);
            return meta;
        }

        public static Sound ReadSound(byte[] payload)
        {
            MessagePackReader reader = Begin(payload, 4194304, 6, out int rest);
            var sound = new Sound
            {
                Start = FromZero(reader.ReadInteger()),
                CaptureNs = reader.ReadInteger(),
                PresentNs = reader.ReadInteger(),
                SampleRate = FromZero(reader.ReadInteger()),
                Samples = Samples(reader.ReadBinary()),
            };
            End(ref reader, rest);
            return sound;
        }

        public static StreamEvent ReadEvent(byte[] payload)
        {
            MessagePackReader reader = Begin(payload, 65536, 3, out int rest);
            var told = new StreamEvent { Name = reader.ReadText(), Detail = reader.ReadText() };
            End(ref reader, rest);
            return told;
        }

        private static MessagePackReader Begin(byte[] payload, int largest, int count, out int rest)
        {
            if (payload.Length > largest)
            {
                throw new WireException($"expected at most {largest} bytes, got {payload.Length}");
            }
            var reader = new MessagePackReader(payload);
            int found = reader.ReadArray();
            long version = found > 0 ? reader.ReadInteger() : 0;
            if (version != Version)
            {
                throw new WireException($"expected wire version {Version}, got {version}; use the "
                    + "same version of avatar_bridge at both ends");
            }
            rest = found - count;
            return rest >= 0 ? reader
                : throw new WireException($"expected {count} elements, got {found}");
        }

        private static void End(ref MessagePackReader reader, int rest)
        {
            for (; rest > 0; rest--)
            {
                reader.Skip();
            }
            if (!reader.AtEnd)
            {
                throw new WireException("expected nothing after the array");
            }
        }

        private static long FromZero(long value)
        {
            return value >= 0 ? value
                : throw new WireException($"expected an integer from 0 up, got {value}");
        }

        private static double FromZero(double value)
        {
            return value >= 0 ? value
                : throw new WireException($"expected a number from 0 up, got {value}");
        }

        private static float[] Floats(ArraySegment<byte> bytes, int count)
        {
            if (bytes.Count != 4 * count)
            {
                throw new WireException($"expected {4 * count} bytes, got {bytes.Count}");
            }
            var values = new float[count];
            // Little-endian, as every platform that Unity runs on
            Buffer.BlockCopy(bytes.Array, bytes.Offset, values, 0, bytes.Count);
            foreach (float value in values)
            {
                if (float.IsNaN(value) || float.IsInfinity(value))
                {
                    throw new WireException("expected finite numbers");
                }
            }
            return values;
        }

        private static float[] Samples(ArraySegment<byte> bytes)
        {
            if (bytes.Count % 2 != 0)
            {
                throw new WireException($"expected pairs of bytes, got {bytes.Count}");
            }
            var samples = new float[bytes.Count / 2];
            for (int place = 0; place < samples.Length; place++)
            {
                int low = bytes.Offset + 2 * place;
                samples[place] = (short)(bytes.Array[low] | bytes.Array[low + 1] << 8) / 32768f;
            }
            return samples;
        }
    }
}
