// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;

namespace AvatarBridge
{
    /// <summary>
    /// Which moment of the sender's clock is to be seen and heard now.
    ///
    /// The clocks differ by an unknown offset. A message needs at least as long as the quickest of
    /// the last ten seconds, which therefore stands for the offset; what others need beyond it is
    /// jitter, most of it covered by the 30 ms between publication and presentation. When
    /// something comes too late even so, presentation is delayed at once and recovers slowly.
    /// Times in nanoseconds; may be used by several threads.
    /// </summary>
    public sealed class PresentationClock
    {
        public const long MostDelay = 100000000;
        private const long Window = 5000000000;     // two of them are remembered
        private const long Jump = 1000000000;       // the sender's clock was set, or we stood still
        private const long Recovery = 100;          // 10 ms a second

        private readonly object gate = new object();
        private long quickest;
        private long quickestBefore;
        private long windowEnd;
        private long covered;
        private long delay;
        private long trim;
        private bool known;

        /// <summary>Time from the sender's clock to ours, with the quickest way between.</summary>
        public long Offset
        {
            get { lock (gate) { return Math.Min(quickest, quickestBefore); } }
        }

        /// <summary>How much later than meant things are shown, because they come late.</summary>
        public long Delay
        {
            get { lock (gate) { return delay; } }
        }

        /// <summary>How much later than that the user wants them; may be negative.</summary>
        public long Trim
        {
            get { lock (gate) { return trim; } }
            set { lock (gate) { trim = value; } }
        }

        /// <summary>Whether anything was heard of the sender.</summary>
        public bool Knows
        {
            get { lock (gate) { return known; } }
        }

        /// <summary>Forget the sender.</summary>
        public void Reset()
        {
            lock (gate)
            {
                known = false;
                delay = 0;
            }
        }

        /// <summary>Learn from what was published then and arrived now.</summary>
        public void Learn(long published, long arrived)
        {
            lock (gate)
            {
                long needed = arrived - published;
                if (!known || Math.Abs(needed - Math.Min(quickest, quickestBefore)) > Jump)
                {
                    quickest = quickestBefore = needed;
                    windowEnd = arrived + Window;
                    covered = arrived;
                    known = true;
                }
                else if (arrived >= windowEnd)
                {
                    quickestBefore = quickest;
                    quickest = needed;
                    windowEnd = arrived + Window;
                }
                quickest = Math.Min(quickest, needed);
            }
        }

        /// <summary>Delay presentation if what is due then arrived too late.</summary>
        public void Cover(long present, long arrived)
        {
            lock (gate)
            {
                delay -= Math.Min(delay, Math.Max(0, arrived - covered) / Recovery);
                covered = Math.Max(covered, arrived);
                long late = arrived - present - Math.Min(quickest, quickestBefore) - trim;
                delay = Math.Max(delay, Math.Min(late, MostDelay));
            }
        }

        /// <summary>Return what moment of the sender's clock is presented at `now`.</summary>
        public long At(long now)
        {
            lock (gate)
            {
                return now - Math.Min(quickest, quickestBefore) - delay - trim;
            }
        }
    }
}
