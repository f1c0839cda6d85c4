// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/// The C++ client for the tests: `script` obeys one command a line on standard input,
/// `receive URL AVATAR [KEYS]` prints what comes until the stream ends. Answers are JSON lines.

#include <chrono>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <avatar_bridge/jitter_buffer.hpp>
#include <avatar_bridge/presentation_clock.hpp>
#include <avatar_bridge/receiver.hpp>

namespace ab = avatar_bridge;

namespace {

std::string quoted(const std::string& text) {
    std::ostringstream out;
    out << '"';
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') {
            out << '\\' << letter;
        } else if (static_cast<unsigned char>(letter) < ' ') {
            out << "\\u" << std::hex << std::setw(4) << std::setfill('0') << int(letter) << std::dec;
        } else {
            out << letter;
        }
    }
    out << '"';
    return out.str();
}

template <class Values, class Show>
std::string list(const Values& values, Show show) {
    std::ostringstream out;
    out << std::setprecision(9) << '[';
    const char* between = "";
    for (const auto& value : values) {
        out << between << show(value);
        between = ", ";
    }
    out << ']';
    return out.str();
}

template <class Values>
std::string numbers(const Values& values) {
    return list(values, [](auto value) { return value; });
}

template <class Values>
std::string numbers(const std::optional<Values>& values) {
    return values ? numbers(*values) : "null";
}

struct Teller {
    std::ostream& out;

    void operator()(const ab::Face& face) const {
        out << R"({"kind": "face", "index": )" << face.index << R"(, "capture": )"
            << face.capture_ns << R"(, "publish": )" << face.publish_ns << R"(, "present": )"
            << face.present_ns << R"(, "fps": )" << std::setprecision(17) << face.fps
            << R"(, "weights": )" << numbers(face.weights) << R"(, "head": )"
            << numbers(face.head) << R"(, "eyes": )" << numbers(face.eyes) << R"(, "flags": )"
            << face.flags << R"(, "stream": )" << quoted(face.stream) << "}\n";
    }

    void operator()(const ab::Meta& meta) const {
        out << R"({"kind": "meta", "stream": )" << quoted(meta.stream) << R"(, "avatar": )"
            << quoted(meta.avatar) << R"(, "names": )" << list(meta.names, quoted)
            << R"(, "fps": )" << std::setprecision(17) << meta.fps << R"(, "latency": )"
            << meta.latency_ms << R"(, "bundle": )" << quoted(meta.bundle) << R"(, "rate": )"
            << meta.sample_rate << "}\n";
    }

    void operator()(const ab::Audio& audio) const {
        out << R"({"kind": "audio", "start": )" << audio.start << R"(, "capture": )"
            << audio.capture_ns << R"(, "present": )" << audio.present_ns << R"(, "rate": )"
            << audio.sample_rate << R"(, "samples": )"
            << list(audio.samples, [](std::int16_t sample) { return sample / 32768.0F; }) << "}\n";
    }

    void operator()(const ab::Event& event) const {
        out << R"({"kind": "event", "name": )" << quoted(event.name) << R"(, "detail": )"
            << quoted(event.detail) << "}\n";
    }
};

std::string bytes_of(const std::string& hex) {
    std::string bytes;
    for (std::size_t place = 0; place + 1 < hex.size(); place += 2) {
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(place, 2), nullptr, 16)));
    }
    return bytes;
}

int receive(const std::vector<std::string>& arguments) {
    std::optional<ab::Curve> curve;
    if (arguments.size() > 3) {
        curve = ab::Curve{arguments[3], arguments[4], arguments[5]};
    }
    ab::Receiver receiver(arguments[1], arguments[2], curve);
    const std::int64_t begin = ab::now();
    bool ended = false;
    while (!ended && ab::now() - std::max(begin, receiver.heard()) < 20'000'000'000) {
        const auto arrival = receiver.take();
        if (!arrival) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        std::visit(Teller{std::cout}, arrival->message);
        std::cout.flush();
        const auto* event = std::get_if<ab::Event>(&arrival->message);
        ended = event != nullptr && event->name == "end";
    }
    std::cout << R"({"refused": )" << receiver.refused() << R"(, "dropped": )"
              << receiver.dropped() << "}\n";
    return 0;
}

class Script {
public:
    void obey(const std::vector<std::string>& words) {
        if (words[0] == "decode") {
            decode(words[1], bytes_of(words.size() > 2 ? words[2] : ""));
        } else if (words[0] == "push") {
            push(words);
        } else if (words[0] == "sample") {
            sample(std::stoll(words[1]));
        } else {
            std::cout << '[' << frames_.received << ", " << frames_.lost << ", "
                      << frames_.too_late << ", " << clock_.delay() << "]\n";
        }
    }

private:
    static void decode(const std::string& kind, const std::string& payload) {
        try {
            std::visit(Teller{std::cout}, ab::read("/" + kind, payload.data(), payload.size()));
        } catch (const ab::WireError& error) {
            std::cout << R"({"refused": )" << quoted(error.what()) << "}\n";
        }
    }

    /// push INDEX PUBLISH PRESENT ARRIVED VALUE FLAGS STREAM
    void push(const std::vector<std::string>& words) {
        ab::Face face;
        face.index = std::stoull(words[1]);
        face.publish_ns = std::stoll(words[2]);
        face.present_ns = std::stoll(words[3]);
        face.weights.fill(std::stof(words[5]));
        face.flags = static_cast<std::uint32_t>(std::stoul(words[6]));
        face.stream = words[7];
        frames_.push(face, std::stoll(words[4]));
    }

    void sample(std::int64_t now) {
        const auto pose = frames_.sample(now);
        if (pose) {
            std::cout << '[' << pose->index << ", " << std::setprecision(9) << pose->weights[0]
                      << ", " << pose->at << "]\n";
        } else {
            std::cout << "null\n";
        }
    }

    ab::PresentationClock clock_;
    ab::JitterBuffer frames_{clock_};
};

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> given(arguments + 1, arguments + count);
    if (given.at(0) == "receive") {
        return receive(given);
    }
    Script script;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        script.obey({std::istream_iterator<std::string>(words), {}});
    }
    return 0;
}
