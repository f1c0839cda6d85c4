// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/// print_face [URL [AVATAR]]: draw the jaw and the mouth as a game would, 60 times a second.

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include <avatar_bridge/jitter_buffer.hpp>
#include <avatar_bridge/presentation_clock.hpp>
#include <avatar_bridge/receiver.hpp>

namespace ab = avatar_bridge;

int main(int count, char** arguments) {
    constexpr std::size_t jaw_open = 17;
    constexpr std::size_t mouth_pucker = 20;
    try {
        ab::Receiver receiver(count > 1 ? arguments[1] : "tcp://127.0.0.1:5560",
                              count > 2 ? arguments[2] : "default");
        ab::PresentationClock clock;
        ab::JitterBuffer frames(clock);
        for (bool ended = false; !ended;) {
            while (auto arrival = receiver.take()) {
                if (auto* face = std::get_if<ab::Face>(&arrival->message)) {
                    frames.push(std::move(*face), arrival->ns);
                } else if (auto* event = std::get_if<ab::Event>(&arrival->message)) {
                    ended = event->name == "end";
                }
            }
            if (const auto pose = frames.sample(ab::now())) {
                const std::string bar(static_cast<std::size_t>(40 * pose->weights[jaw_open]), '#');
                std::printf("\rframe %6llu  pucker %.2f  jaw %.2f %-40s",
                            static_cast<unsigned long long>(pose->index),
                            static_cast<double>(pose->weights[mouth_pucker]),
                            static_cast<double>(pose->weights[jaw_open]), bar.c_str());
                std::fflush(stdout);
            }
            std::this_thread::sleep_for(std::chrono::microseconds(16667));
        }
        std::printf("\n%llu frames, %lld lost\n", static_cast<unsigned long long>(frames.received),
                    static_cast<long long>(frames.lost));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "print_face: %s\n", error.what());
        return 1;
    }
    return 0;
}
