// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <avatar_bridge/presentation_clock.hpp>
#include <avatar_bridge/wire.hpp>

namespace avatar_bridge {

/// What a face looks like at one moment.
struct Pose {
    std::array<float, shapes> weights{};
    std::optional<std::array<float, 3>> head;
    std::optional<std::array<float, 4>> eyes;
    std::uint32_t flags = 0;
    std::uint64_t index = 0;        // of the frame that was due last
    std::int64_t at = 0;            // the sender's time that is shown, ns
};

/// Frames that wait for their time, in order, shown by presentation time and not by arrival.
///
/// Between two frames the pose is a mixture; without frames the face goes to rest. One thread.
class JitterBuffer {
public:
    explicit JitterBuffer(PresentationClock& clock) : clock_(clock) {}

    std::uint64_t received = 0;
    std::int64_t lost = 0;          // frames that did not come in time, by their numbers
    std::uint64_t too_late = 0;     // frames that came after a later one was shown

    /// Take a frame in, in any order; `arrived` in ns of the caller's steady clock.
    void push(Face frame, std::int64_t arrived) {
        if (received == 0 || frame.stream != stream_) {
            begin(frame);
        }
        ++received;
        clock_.learn(frame.publish_ns, arrived);
        clock_.cover(frame.present_ns, arrived);
        const auto index = static_cast<std::int64_t>(frame.index);
        lost += std::max<std::int64_t>(0, index - newest_ - 1);
        auto place = frames_.end();
        while (place != frames_.begin() && std::prev(place)->index > frame.index) {
            --place;
        }
        const bool first = place == frames_.begin();
        if (first ? is_shown() : std::prev(place)->index == frame.index) {
            ++too_late;
            return;
        }
        if (!first && std::prev(place)->present_ns - frame.present_ns > jump) {
            place = frames_.erase(frames_.begin(), place);      // the sender's clock was set back
        }
        lost -= index < newest_ ? 1 : 0;        // it was only overtaken
        newest_ = std::max(newest_, index);
        frames_.insert(place, std::move(frame));
        if (frames_.size() > most_waiting) {
            frames_.pop_front();
        }
    }

    /// Return what is to be seen at `now`, nothing before the first frame is due.
    std::optional<Pose> sample(std::int64_t now) {
        // A delay that grows stops the face for a moment; only a clock that was set turns it back.
        const std::int64_t at = clock_.at(now);
        if (at > shown_ || at < shown_ - jump) {
            shown_ = at;
        }
        while (frames_.size() > 1 && frames_[1].present_ns <= shown_) {
            frames_.pop_front();
        }
        if (!is_shown()) {
            return std::nullopt;
        }
        const bool follows = frames_.size() > 1 && (frames_[1].flags & discontinuity) == 0;
        return mixed(frames_[0], frames_[follows ? 1 : 0]);
    }

private:
    static constexpr std::size_t most_waiting = 256;
    static constexpr std::int64_t hold = 100'000'000;   // ns without a frame before it fades
    static constexpr std::int64_t fade = 300'000'000;
    static constexpr std::int64_t jump = 1'000'000'000;
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min() / 2;

    bool is_shown() const { return !frames_.empty() && frames_[0].present_ns <= shown_; }

    void begin(const Face& first) {
        stream_ = first.stream;
        frames_.clear();
        clock_.reset();
        newest_ = static_cast<std::int64_t>(first.index) - 1;
        shown_ = never;
    }

    Pose mixed(const Face& frame, const Face& next) const {
        const auto span = static_cast<float>(next.present_ns - frame.present_ns);
        const auto since = static_cast<float>(shown_ - frame.present_ns);
        const float part = span > 0 ? since / span : 0.0F;
        const bool alone = &frame == &next;
        const float gone = alone ? (since - static_cast<float>(hold)) / fade : 0.0F;
        const float life = 1.0F - std::clamp(gone, 0.0F, 1.0F);
        Pose pose{mix(frame.weights, next.weights, part, life), std::nullopt, std::nullopt,
                  frame.flags, frame.index, shown_};
        if (frame.head) {
            pose.head = mix(*frame.head, next.head.value_or(*frame.head), part, life);
        }
        if (frame.eyes) {
            pose.eyes = mix(*frame.eyes, next.eyes.value_or(*frame.eyes), part, life);
        }
        return pose;
    }

    template <std::size_t Count>
    static std::array<float, Count> mix(const std::array<float, Count>& from,
                                        const std::array<float, Count>& to, float part,
                                        float life) {
        std::array<float, Count> mixture;
        for (std::size_t i = 0; i < Count; ++i) {
            mixture[i] = life * (from[i] + part * (to[i] - from[i]));
        }
        return mixture;
    }

    PresentationClock& clock_;
    std::deque<Face> frames_;       // the first is or was due
    std::string stream_;
    std::int64_t newest_ = -1;
    std::int64_t shown_ = never;
};

}  // namespace avatar_bridge
