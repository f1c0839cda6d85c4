// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <zmq.h>

#include <avatar_bridge/wire.hpp>

namespace avatar_bridge {

/// Keys of an encrypted connection, 40 characters each (Z85).
struct Curve {
    std::string server;     // the publisher's public key
    std::string public_key;
    std::string secret_key;
};

/// A message and when it came.
struct Arrival {
    Message message;
    std::int64_t ns;        // of now()
};

/// Nanoseconds of a clock that never jumps.
inline std::int64_t now() {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A thread that subscribes to one avatar; it comes back when the publisher does.
///
/// Messages wait in a short queue until `take`; the oldest make room. The constructor throws
/// std::runtime_error where URL or keys are wrong; nothing else throws.
class Receiver {
public:
    explicit Receiver(const std::string& url, std::string_view avatar = "default",
                      const std::optional<Curve>& curve = std::nullopt)
        : context_(zmq_ctx_new(), zmq_ctx_term),
          socket_(zmq_socket(context_.get(), ZMQ_SUB), zmq_close) {
        set(ZMQ_RCVHWM, high_water);        // a stall loses nothing; the jitter buffer skips
        set(ZMQ_RCVBUF, receive_buffer);
        set(ZMQ_LINGER, 0);
        set(ZMQ_RECONNECT_IVL, 100);        // ms, doubling up to
        set(ZMQ_RECONNECT_IVL_MAX, 2000);
        if (curve) {
            set(ZMQ_CURVE_SERVERKEY, curve->server);
            set(ZMQ_CURVE_PUBLICKEY, curve->public_key);
            set(ZMQ_CURVE_SECRETKEY, curve->secret_key);
        }
        set(ZMQ_SUBSCRIBE, prefix(avatar));
        check(zmq_connect(socket_.get(), url.c_str()), "cannot connect to " + url);
        thread_ = std::thread([this] { run(); });
    }

    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    ~Receiver() {
        closing_ = true;
        thread_.join();
    }

    /// Take the oldest message.
    std::optional<Arrival> take() {
        const std::lock_guard<std::mutex> lock(gate_);
        if (waiting_.empty()) {
            return std::nullopt;
        }
        std::optional<Arrival> oldest(std::move(waiting_.front()));
        waiting_.pop_front();
        return oldest;
    }

    /// When the last message came, 0 for never; a living publisher speaks every second.
    std::int64_t heard() const { return heard_; }

    /// Messages that nobody took in time.
    std::uint64_t dropped() const { return dropped_; }

    /// Messages that were none of this wire version.
    std::uint64_t refused() const { return refused_; }

private:
    struct Part {
        zmq_msg_t message;

        Part() { zmq_msg_init(&message); }
        Part(const Part&) = delete;
        Part& operator=(const Part&) = delete;
        ~Part() { zmq_msg_close(&message); }

        const char* data() { return static_cast<const char*>(zmq_msg_data(&message)); }
        std::size_t size() const { return zmq_msg_size(&message); }
    };

    static constexpr int high_water = 256;
    static constexpr int receive_buffer = 65536;
    static constexpr long patience = 50;            // ms between two looks whether to end
    static constexpr std::size_t most_waiting = 256;

    static void check(int result, const std::string& what) {
        if (result != 0) {
            throw std::runtime_error(what + ": " + zmq_strerror(zmq_errno()));
        }
    }

    void set(int option, int value) {
        check(zmq_setsockopt(socket_.get(), option, &value, sizeof value), "socket option");
    }

    void set(int option, const std::string& value) {
        check(zmq_setsockopt(socket_.get(), option, value.data(), value.size()), "socket option");
    }

    void run() {
        zmq_pollitem_t item{socket_.get(), 0, ZMQ_POLLIN, 0};
        while (!closing_) {
            if (zmq_poll(&item, 1, patience) > 0) {
                receive();
            }
        }
    }

    void receive() {
        std::deque<Part> parts;
        do {
            if (zmq_msg_recv(&parts.emplace_back().message, socket_.get(), ZMQ_DONTWAIT) < 0) {
                return;
            }
        } while (zmq_msg_more(&parts.back().message) != 0);
        const std::int64_t arrived = now();
        try {
            if (parts.size() != 2) {
                throw WireError("expected topic and payload");
            }
            const std::string_view topic(parts[0].data(), parts[0].size());
            put({read(topic, parts[1].data(), parts[1].size()), arrived});
        } catch (const WireError&) {
            ++refused_;
        }
    }

    void put(Arrival arrival) {
        heard_ = arrival.ns;
        const std::lock_guard<std::mutex> lock(gate_);
        if (waiting_.size() == most_waiting) {
            waiting_.pop_front();
            ++dropped_;
        }
        waiting_.push_back(std::move(arrival));
    }

    std::unique_ptr<void, int (*)(void*)> context_;
    std::unique_ptr<void, int (*)(void*)> socket_;
    std::mutex gate_;
    std::deque<Arrival> waiting_;
    std::atomic<bool> closing_{false};
    std::atomic<std::int64_t> heard_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::thread thread_;
};

}  // namespace avatar_bridge
