// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

/// Wire version 1: payloads to messages; no socket. Elements beyond the known ones are ignored.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#ifndef MSGPACK_NO_BOOST
#define MSGPACK_NO_BOOST
#endif
#include <msgpack.hpp>

namespace avatar_bridge {

inline constexpr int version = 1;
inline constexpr std::string_view layout = "arkit_apple";
inline constexpr std::size_t shapes = 52;

/// What else is true of a frame.
enum Flags : std::uint32_t { speech = 1, muted = 2, idle = 4, discontinuity = 8 };

/// One pose; times in nanoseconds of the sender's clock.
struct Face {
    std::uint64_t index = 0;
    std::int64_t capture_ns = 0;
    std::int64_t publish_ns = 0;
    std::int64_t present_ns = 0;
    double fps = 0;
    std::array<float, shapes> weights{};            // in [0, 1], order of Meta::names
    std::optional<std::array<float, 3>> head;       // yaw, pitch, roll, radians, + subject's left
    std::optional<std::array<float, 4>> eyes;       // left yaw, left pitch, right yaw, right pitch
    std::uint32_t flags = 0;
    std::string stream;                             // id of the run
};

/// What a late subscriber needs to know.
struct Meta {
    std::string stream;
    std::string avatar;
    std::vector<std::string> names;
    double fps = 0;
    double latency_ms = 0;      // from sound to frame, by the algorithm alone
    std::string bundle;
    std::uint64_t sample_rate = 0;
};

/// Sound that fits the frames.
struct Audio {
    std::uint64_t start = 0;    // index of the first sample
    std::int64_t capture_ns = 0;
    std::int64_t present_ns = 0;
    std::uint64_t sample_rate = 0;
    std::vector<std::int16_t> samples;
};

/// Something that happened to the stream: start, flush, mute, end, error, ...
struct Event {
    std::string name;
    std::string detail;
};

using Message = std::variant<Face, Meta, Audio, Event>;

/// Bytes that are no message of this wire version.
class WireError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

namespace detail {

/// Return whether bytes are UTF-8: no more than others take for text.
inline bool is_utf8(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned first = byte(i++);
        const std::size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || text.size() - i < more) {
            return false;
        }
        for (std::size_t k = 0; k < more; ++k, ++i) {
            const unsigned least = k > 0 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
            const unsigned most = k > 0 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
            if (byte(i) < least || byte(i) > most) {
                return false;
            }
        }
    }
    return true;
}

/// The elements of one array, each checked when it is asked for.
class Fields {
public:
    Fields(const void* bytes, std::size_t size, std::size_t largest, std::uint32_t count) {
        if (size > largest) {
            throw WireError("expected at most " + std::to_string(largest) + " bytes, got " +
                            std::to_string(size));
        }
        // nothing inside can be longer than the whole
        const msgpack::unpack_limit limit(1024, 16, size, size, 0, 8);
        std::size_t end = 0;
        try {
            handle_ = msgpack::unpack(static_cast<const char*>(bytes), size, end, nullptr, nullptr,
                                      limit);
        } catch (const msgpack::unpack_error& error) {
            throw WireError(std::string("expected msgpack: ") + error.what());
        }
        if (end != size || handle_->type != msgpack::type::ARRAY) {
            throw WireError("expected one array and nothing else");
        }
        const auto& array = handle_->via.array;
        values_ = array.ptr;
        if (array.size == 0 || values_[0].type != msgpack::type::POSITIVE_INTEGER ||
            values_[0].via.u64 != version) {
            throw WireError("expected wire version " + std::to_string(version) +
                            "; use the same version of avatar_bridge at both ends");
        }
        if (array.size < count) {
            throw WireError("expected " + std::to_string(count) + " elements, got " +
                            std::to_string(array.size));
        }
    }

    std::uint64_t natural(std::uint32_t place) const {
        return expect(place, msgpack::type::POSITIVE_INTEGER).via.u64;
    }

    std::int64_t integer(std::uint32_t place) const {
        const auto& value = values_[place];
        if (value.type == msgpack::type::NEGATIVE_INTEGER) {
            return value.via.i64;
        }
        if (natural(place) > INT64_MAX) {
            throw unexpected(place);
        }
        return static_cast<std::int64_t>(value.via.u64);
    }

    double number(std::uint32_t place) const {
        const auto& value = values_[place];
        const bool floats = value.type == msgpack::type::FLOAT32 ||
                            value.type == msgpack::type::FLOAT64;
        const double found = floats ? value.via.f64 : static_cast<double>(natural(place));
        if (!(found >= 0)) {
            throw unexpected(place);
        }
        return found;
    }

    std::string text(std::uint32_t place) const { return text(expect(place, msgpack::type::STR)); }

    std::vector<std::string> texts(std::uint32_t place) const {
        const auto& array = expect(place, msgpack::type::ARRAY).via.array;
        std::vector<std::string> found;
        for (std::uint32_t i = 0; i < array.size; ++i) {
            if (array.ptr[i].type != msgpack::type::STR) {
                throw unexpected(place);
            }
            found.push_back(text(array.ptr[i]));
        }
        return found;
    }

    template <std::size_t Count>
    std::array<float, Count> floats(std::uint32_t place) const {
        const auto& bytes = expect(place, msgpack::type::BIN).via.bin;
        std::array<float, Count> found;
        if (bytes.size != sizeof found) {
            throw unexpected(place);
        }
        std::memcpy(found.data(), bytes.ptr, sizeof found);     // little-endian, as we are
        if (!std::all_of(found.begin(), found.end(), [](float f) { return std::isfinite(f); })) {
            throw unexpected(place);
        }
        return found;
    }

    template <std::size_t Count>
    std::optional<std::array<float, Count>> maybe_floats(std::uint32_t place) const {
        if (values_[place].type == msgpack::type::NIL) {
            return std::nullopt;
        }
        return floats<Count>(place);
    }

    std::vector<std::int16_t> samples(std::uint32_t place) const {
        const auto& bytes = expect(place, msgpack::type::BIN).via.bin;
        if (bytes.size % 2 != 0) {
            throw unexpected(place);
        }
        std::vector<std::int16_t> found(bytes.size / 2);
        std::memcpy(found.data(), bytes.ptr, bytes.size);
        return found;
    }

private:
    const msgpack::object& expect(std::uint32_t place, msgpack::type::object_type type) const {
        if (values_[place].type != type) {
            throw unexpected(place);
        }
        return values_[place];
    }

    static std::string text(const msgpack::object& value) {
        std::string found(value.via.str.ptr, value.via.str.size);
        if (!is_utf8(found)) {
            throw WireError("expected text in UTF-8");
        }
        return found;
    }

    static WireError unexpected(std::uint32_t place) {
        return WireError("element " + std::to_string(place) + " is not what it should be");
    }

    msgpack::object_handle handle_;
    const msgpack::object* values_ = nullptr;
};

}  // namespace detail

/// Return what to subscribe to for everything about one avatar.
inline std::string prefix(std::string_view avatar) {
    return "ab/" + std::to_string(version) + "/" + std::string(avatar) + "/";
}

inline Face read_face(const void* bytes, std::size_t size) {
    const detail::Fields fields(bytes, size, 2048, 12);
    if (fields.text(6) != layout) {
        throw WireError("expected the layout " + std::string(layout) + ", got " + fields.text(6));
    }
    return Face{fields.natural(1), fields.integer(2), fields.integer(3), fields.integer(4),
                fields.number(5), fields.floats<shapes>(7), fields.maybe_floats<3>(8),
                fields.maybe_floats<4>(9), static_cast<std::uint32_t>(fields.natural(10)),
                fields.text(11)};
}

inline Meta read_meta(const void* bytes, std::size_t size) {
    const detail::Fields fields(bytes, size, 65536, 8);
    return Meta{fields.text(1), fields.text(2), fields.texts(3), fields.number(4),
                fields.number(5), fields.text(6), fields.natural(7)};
}

inline Audio read_audio(const void* bytes, std::size_t size) {
    const detail::Fields fields(bytes, size, 4194304, 6);
    return Audio{fields.natural(1), fields.integer(2), fields.integer(3), fields.natural(4),
                 fields.samples(5)};
}

inline Event read_event(const void* bytes, std::size_t size) {
    const detail::Fields fields(bytes, size, 65536, 3);
    return Event{fields.text(1), fields.text(2)};
}

/// Return the message behind a topic; throws WireError.
inline Message read(std::string_view topic, const void* bytes, std::size_t size) {
    const std::string_view kind = topic.substr(topic.rfind('/') + 1);
    if (kind == "face") {
        return read_face(bytes, size);
    }
    if (kind == "meta") {
        return read_meta(bytes, size);
    }
    if (kind == "audio") {
        return read_audio(bytes, size);
    }
    if (kind == "event") {
        return read_event(bytes, size);
    }
    throw WireError("expected face, meta, audio or event, got " + std::string(kind));
}

}  // namespace avatar_bridge
