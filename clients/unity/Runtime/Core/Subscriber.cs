// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Threading;

namespace AvatarBridge
{
    /// <summary>A message and when it came.</summary>
    public struct Arrival
    {
        public object Message;          // FaceFrame, Meta, Sound or StreamEvent
        public long Ns;                 // of Subscriber.Now
    }

    /// <summary>
    /// A thread that subscribes to one avatar and comes back when the publisher does.
    /// Messages wait in a short queue until `TryTake`; the oldest make room.
    /// </summary>
    public sealed class Subscriber : IDisposable
    {
        private const int MostWaiting = 256;        // 4 s of frames: whoever is further behind is not live
        private const int SilentMs = 4000;          // meta comes every second
        private const int FirstPauseMs = 100;
        private const int LongestPauseMs = 2000;
        private const int ReceiveBuffer = 65536;    // a stall loses nothing; the jitter buffer skips

        private readonly string host;
        private readonly int port;
        private readonly string prefix;
        private readonly Queue<Arrival> waiting = new Queue<Arrival>();
        private readonly ManualResetEvent closing = new ManualResetEvent(false);
        private readonly Thread thread;
        private TcpClient client;
        private long dropped;
        private long refused;

        /// <summary>Begin to listen to `avatar` at `url`, for example tcp://127.0.0.1:5560.</summary>
        public Subscriber(string url, string avatar)
        {
            (host, port) = PlaceOf(url);
            prefix = Wire.Prefix(avatar);
            State = $"connecting to {host}:{port}";
            thread = new Thread(Run) { Name = "avatar_bridge", IsBackground = true };
            thread.Start();
        }

        /// <summary>What it is doing, or what is wrong, for the user.</summary>
        public string State { get; private set; }

        /// <summary>Messages that nobody took in time.</summary>
        public long Dropped => Interlocked.Read(ref dropped);

        /// <summary>Messages that were none of this wire version.</summary>
        public long Refused => Interlocked.Read(ref refused);

        /// <summary>Nanoseconds of a clock that never jumps.</summary>
        public static long Now => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

        /// <summary>Take the oldest message.</summary>
        public bool TryTake(out Arrival arrival)
        {
            lock (waiting)
            {
                arrival = waiting.Count > 0 ? waiting.Dequeue() : default(Arrival);
                return arrival.Message != null;
            }
        }

        /// <summary>Hang up and end the thread.</summary>
        public void Dispose()
        {
            closing.Set();
            Volatile.Read(ref client)?.Close();
            thread.Join(1000);
        }

        private static (string, int) PlaceOf(string url)
        {
            int colon = url.LastIndexOf(':');
            if (!url.StartsWith("tcp://", StringComparison.Ordinal) || colon < 7
                || !ushort.TryParse(url.Substring(colon + 1), out ushort port))
            {
                throw new ArgumentException(
                    $"expected tcp://HOST:PORT, got '{url}'; for example tcp://127.0.0.1:5560");
            }
            return (url.Substring(6, colon - 6).Trim('[', ']'), port);
        }

        private void Run()
        {
            int pause = FirstPauseMs;
            while (!closing.WaitOne(0))
            {
                try
                {
                    Listen(ref pause);
                }
                catch (Exception error) when (error is SocketException || error is IOException
                    || error is WireException || error is ObjectDisposedException)
                {
                    State = $"no frames from {host}:{port}: {error.Message}";
                }
                if (closing.WaitOne(pause))
                {
                    return;
                }
                pause = Math.Min(2 * pause, LongestPauseMs);
            }
        }

        private void Listen(ref int pause)
        {
            using (var connection = new TcpClient(host, port))
            {
                Volatile.Write(ref client, connection);
                connection.NoDelay = true;
                connection.ReceiveBufferSize = ReceiveBuffer;
                connection.ReceiveTimeout = SilentMs;
                NetworkStream stream = connection.GetStream();
                Say(stream, Zmtp.Greeting);
                var protocol = new Zmtp();
                var bytes = new byte[ReceiveBuffer];
                while (!closing.WaitOne(0))
                {
                    int count = stream.Read(bytes, 0, bytes.Length);
                    long now = Now;
                    if (count == 0)
                    {
                        throw new IOException("the publisher hung up");
                    }
                    protocol.Push(bytes, count);
                    for (byte[][] message; (message = protocol.Next()) != null;)
                    {
                        pause = FirstPauseMs;
                        Take(message, now);
                    }
                    Say(stream, protocol.Reply(prefix));
                    if (protocol.Ready)
                    {
                        State = $"listening to {host}:{port}";
                    }
                }
            }
        }

        private static void Say(NetworkStream stream, byte[] words)
        {
            if (words != null)
            {
                stream.Write(words, 0, words.Length);
            }
        }

        private void Take(byte[][] message, long now)
        {
            try
            {
                if (message.Length != 2)
                {
                    throw new WireException($"expected topic and payload, got {message.Length} parts");
                }
                string kind = Wire.KindOf(Encoding.UTF8.GetString(message[0]));
                Put(new Arrival { Message = Wire.Read(kind, message[1]), Ns = now });
            }
            catch (WireException)
            {
                Interlocked.Increment(ref refused);
            }
        }

        private void Put(Arrival arrival)
        {
            lock (waiting)
            {
                if (waiting.Count == MostWaiting)
                {
                    waiting.Dequeue();
                    Interlocked.Increment(ref dropped);
                }
                waiting.Enqueue(arrival);
            }
        }
    }
}
