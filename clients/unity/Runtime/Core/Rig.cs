// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;

namespace AvatarBridge
{
    /// <summary>The ARKit-52 rig: names in Apple's order. Left is the subject's left.</summary>
    public static class Rig
    {
        public const int Count = 52;

        public static readonly IReadOnlyList<string> Names = new[]
        {
            "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
            "eyeSquintLeft", "eyeWideLeft",
            "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight",
            "eyeLookUpRight", "eyeSquintRight", "eyeWideRight",
            "jawForward", "jawLeft", "jawRight", "jawOpen",
            "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
            "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
            "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
            "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
            "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight",
            "mouthUpperUpLeft", "mouthUpperUpRight",
            "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
            "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
            "tongueOut",
        };

        /// <summary>Shapes that some rigs have once for each side.</summary>
        private static readonly string[] Split =
        {
            "browInnerUp", "cheekPuff", "mouthFunnel", "mouthPucker", "mouthRollLower",
            "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
        };

        private static readonly Dictionary<string, int> Known = Spellings();

        /// <summary>Return whether jaw, mouth or tongue move by this shape.</summary>
        public static bool IsMouth(int shape)
        {
            return (shape >= 14 && shape < 41) || shape == 51;
        }

        /// <summary>Return whether this shape says where an eye looks.</summary>
        public static bool IsLook(int shape)
        {
            return (shape >= 1 && shape <= 4) || (shape >= 8 && shape <= 11);
        }

        /// <summary>
        /// Return which of the 52 a name means, or -1. Known are jawOpen, JawOpen, jaw_open,
        /// mouthSmile_L, mouthSmileLeft, and all of them behind a prefix (Face.M_jawOpen).
        /// </summary>
        public static int ShapeOf(string name)
        {
            string plain = Plain(name.Substring(name.LastIndexOf('.') + 1));
            if (Known.TryGetValue(plain, out int shape))
            {
                return shape;
            }
            string longest = "";
            foreach (string known in Known.Keys)
            {
                if (known.Length > longest.Length && plain.EndsWith(known, StringComparison.Ordinal))
                {
                    longest = known;
                }
            }
            return longest.Length > 0 ? Known[longest] : -1;
        }

        private static Dictionary<string, int> Spellings()
        {
            var known = new Dictionary<string, int>();
            for (int shape = 0; shape < Count; shape++)
            {
                known[Plain(Names[shape])] = shape;
                if (Array.IndexOf(Split, Names[shape]) >= 0)
                {
                    known[Plain(Names[shape]) + "l"] = shape;
                    known[Plain(Names[shape]) + "r"] = shape;
                }
            }
            return known;
        }

        /// <summary>Return a spelling without case, separators and words for sides.</summary>
        private static string Plain(string name)
        {
            string plain = name.Replace("_", "").Replace("-", "").Replace(" ", "").ToLowerInvariant();
            return Ending(Ending(plain, "left", "l"), "right", "r");
        }

        private static string Ending(string name, string word, string letter)
        {
            return name.EndsWith(word, StringComparison.Ordinal)
                ? name.Substring(0, name.Length - word.Length) + letter : name;
        }
    }
}
