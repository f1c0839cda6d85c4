// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;

namespace AvatarBridge
{
    /// <summary>Which of the 52 reach the face; the rest stays with whoever else moves it.</summary>
    public enum Channels
    {
        All,
        Mouth,
        Upper,
    }

    /// <summary>What moves one shape of a mesh, where its name does not say so.</summary>
    [Serializable]
    public sealed class ShapeRule
    {
        public string Shape = "";       // the mesh's
        public string Source = "";      // one of the 52; empty: nothing moves it
        public float Gain = 1f;
    }

    /// <summary>The shapes of one mesh and what moves each: by name, unless a rule says otherwise.</summary>
    public sealed class ShapeMap
    {
        private readonly List<Link> links = new List<Link>();
        private readonly bool[] found = new bool[Rig.Count];

        public ShapeMap(IReadOnlyList<string> shapes, IEnumerable<ShapeRule> rules, Channels channels)
        {
            var ruled = new Dictionary<string, ShapeRule>();
            foreach (ShapeRule rule in rules)
            {
                ruled[rule.Shape] = rule;
            }
            for (int place = 0; place < shapes.Count; place++)
            {
                bool exception = ruled.TryGetValue(shapes[place], out ShapeRule rule);
                int source = Rig.ShapeOf(exception ? rule.Source : shapes[place]);
                if (source < 0)
                {
                    continue;
                }
                found[source] = true;
                if (channels == Channels.All || channels == Channels.Mouth == Rig.IsMouth(source))
                {
                    links.Add(new Link(place, source, exception ? rule.Gain : 1f));
                }
            }
        }

        /// <summary>Shapes of the mesh that move.</summary>
        public int Count => links.Count;

        /// <summary>Return (place among the mesh's shapes, which of the 52 moves it).</summary>
        public IEnumerable<KeyValuePair<int, string>> Sources()
        {
            foreach (Link link in links)
            {
                yield return new KeyValuePair<int, string>(link.Place, Rig.Names[link.Source]);
            }
        }

        /// <summary>Return the names among the 52 that no shape of the mesh shows.</summary>
        public IEnumerable<string> Missing()
        {
            for (int source = 0; source < Rig.Count; source++)
            {
                if (!found[source])
                {
                    yield return Rig.Names[source];
                }
            }
        }

        /// <summary>Hand (place among the mesh's shapes, weight in [0, 1]) to `wear`.</summary>
        public void Apply(float[] weights, float gain, Action<int, float> wear)
        {
            foreach (Link link in links)
            {
                float weight = weights[link.Source] * link.Gain * gain;
                wear(link.Place, Math.Max(0f, Math.Min(1f, weight)));
            }
        }

        private struct Link
        {
            public readonly int Place;
            public readonly int Source;
            public readonly float Gain;

            public Link(int place, int source, float gain)
            {
                Place = place;
                Source = source;
                Gain = gain;
            }
        }
    }
}
