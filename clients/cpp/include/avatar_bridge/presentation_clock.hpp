// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace avatar_bridge {

/// Which moment of the sender's clock is to be seen and heard now.
///
/// The clocks differ by an unknown offset. A message needs at least as long as the quickest of the
/// last ten seconds, which therefore stands for the offset; what others need beyond it is jitter,
/// most of it covered by the 30 ms between publication and presentation. When something comes too
/// late even so, presentation is delayed at once and recovers slowly. Times in nanoseconds.
class PresentationClock {
public:
    static constexpr std::int64_t most_delay = 100'000'000;

    /// How much later than meant the user wants things; may be negative.
    std::int64_t trim = 0;

    /// Whether anything was heard of the sender.
    bool knows() const { return known_; }

    /// Time from the sender's clock to ours, with the quickest way between.
    std::int64_t offset() const { return std::min(quickest_, quickest_before_); }

    /// How much later than meant things are shown, because they come late.
    std::int64_t delay() const { return delay_; }

    /// Forget the sender.
    void reset() {
        known_ = false;
        delay_ = 0;
    }

    /// Learn from what was published then and arrived now.
    void learn(std::int64_t published, std::int64_t arrived) {
        const std::int64_t needed = arrived - published;
        if (!known_ || std::abs(needed - offset()) > jump) {
            quickest_ = quickest_before_ = needed;
            window_end_ = arrived + window;
            covered_ = arrived;
            known_ = true;
        } else if (arrived >= window_end_) {
            quickest_before_ = quickest_;
            quickest_ = needed;
            window_end_ = arrived + window;
        }
        quickest_ = std::min(quickest_, needed);
    }

    /// Delay presentation if what is due then arrived too late.
    void cover(std::int64_t present, std::int64_t arrived) {
        delay_ -= std::min(delay_, std::max<std::int64_t>(0, arrived - covered_) / recovery);
        covered_ = std::max(covered_, arrived);
        delay_ = std::max(delay_, std::min(arrived - present - offset() - trim, most_delay));
    }

    /// Return what moment of the sender's clock is presented at `now`.
    std::int64_t at(std::int64_t now) const { return now - offset() - delay_ - trim; }

private:
    static constexpr std::int64_t window = 5'000'000'000;   // two of them are remembered
    static constexpr std::int64_t jump = 1'000'000'000;     // a clock was set, or we stood still
    static constexpr std::int64_t recovery = 100;           // 10 ms a second

    std::int64_t quickest_ = 0;
    std::int64_t quickest_before_ = 0;
    std::int64_t window_end_ = 0;
    std::int64_t covered_ = 0;
    std::int64_t delay_ = 0;
    bool known_ = false;
};

}  // namespace avatar_bridge
