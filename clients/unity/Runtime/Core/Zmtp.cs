// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;
using System.Text;

namespace AvatarBridge
{
    /// <summary>
    /// The subscriber's half of ZMTP 3.0 without encryption (rfc.zeromq.org/spec/23): what to say,
    /// and bytes as they come to whole messages. No socket; one object for one connection.
    /// </summary>
    public sealed class Zmtp
    {
        private const int GreetingSize = 64;
        private const int Largest = 4 * 1024 * 1024 + 1024;     // of a message: sound, and its topic
        private const int MostParts = 16;
        private const int More = 1;
        private const int Long = 2;
        private const int Command = 4;

        private readonly List<byte[]> parts = new List<byte[]>();
        private byte[] buffer = new byte[4096];
        private int begin;
        private int end;
        private int size;               // bytes in `parts`
        private int step;               // of what we say
        private bool greeted;

        /// <summary>What to say first: who we are, and version 3.0 (3.1 subscribes by a command).</summary>
        public static byte[] Greeting => new byte[] { 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0 };

        /// <summary>Whether the publisher has accepted us.</summary>
        public bool Ready { get; private set; }

        /// <summary>
        /// Return what is to be said now, or null. Every step waits for the publisher's answer: one
        /// that wants encryption hangs up before it has said so, and any takes a subscription that
        /// comes before its own READY for a mistake.
        /// </summary>
        public byte[] Reply(string prefix)
        {
            var said = new List<byte>();
            if (greeted && step == 0)
            {
                var rest = new byte[GreetingSize - Greeting.Length];
                Encoding.ASCII.GetBytes("NULL", 0, 4, rest, 0);
                said.AddRange(rest);
                AddFrame(said, Command, "\x05READY\x0bSocket-Type\0\0\0\x03SUB");
                step++;
            }
            if (Ready && step == 1)
            {
                AddFrame(said, 0, "\x01" + prefix);
                step++;
            }
            return said.Count > 0 ? said.ToArray() : null;
        }

        /// <summary>Take bytes in; whole messages come out of `Next`.</summary>
        public void Push(byte[] bytes, int count)
        {
            if (end + count > buffer.Length)
            {
                int kept = end - begin;
                byte[] target = kept + count > buffer.Length
                    ? new byte[Math.Max(kept + count, 2 * buffer.Length)] : buffer;
                Buffer.BlockCopy(buffer, begin, target, 0, kept);
                buffer = target;
                begin = 0;
                end = kept;
            }
            Buffer.BlockCopy(bytes, 0, buffer, end, count);
            end += count;
        }

        /// <summary>Return the parts of the next whole message, or null; throws WireException.</summary>
        public byte[][] Next()
        {
            if (!greeted && !(greeted = TakeGreeting()))
            {
                return null;
            }
            while (TakeFrame(out int flags, out byte[] body))
            {
                if ((flags & Command) != 0)
                {
                    Obey(body);
                    continue;
                }
                parts.Add(body);
                size += body.Length;
                if (size > Largest || parts.Count > MostParts)
                {
                    throw new WireException($"expected messages of at most {Largest} bytes");
                }
                if ((flags & More) == 0)
                {
                    byte[][] message = parts.ToArray();
                    parts.Clear();
                    size = 0;
                    return message;
                }
            }
            return null;
        }

        private bool TakeGreeting()
        {
            if (end - begin > 0 && buffer[begin] != 0xff)
            {
                throw new WireException("expected a ZeroMQ socket, found something else there");
            }
            if (end - begin < GreetingSize)
            {
                return false;
            }
            string mechanism = Encoding.ASCII.GetString(buffer, begin + 12, 20).TrimEnd('\0');
            if (buffer[begin + 9] != 0x7f || buffer[begin + 10] < 3)
            {
                throw new WireException("expected a ZeroMQ socket of version 3 or newer");
            }
            if (mechanism != "NULL")
            {
                throw new WireException($"expected no encryption, the publisher wants {mechanism}; "
                    + "leave ?curve= out of its URL, or tunnel the port");
            }
            begin += GreetingSize;
            return true;
        }

        private bool TakeFrame(out int flags, out byte[] body)
        {
            flags = 0;
            body = null;
            int head = end - begin < 1 ? 2 : (buffer[begin] & Long) != 0 ? 9 : 2;
            if (end - begin < head)
            {
                return false;
            }
            ulong length = 0;
            for (int place = begin + 1; place < begin + head; place++)
            {
                length = length << 8 | buffer[place];
            }
            if (length > Largest)
            {
                throw new WireException($"expected messages of at most {Largest} bytes, got {length}");
            }
            if ((ulong)(end - begin - head) < length)
            {
                return false;
            }
            flags = buffer[begin];
            body = new byte[length];
            Buffer.BlockCopy(buffer, begin + head, body, 0, body.Length);
            begin += head + body.Length;
            return true;
        }

        private void Obey(byte[] command)
        {
            int length = command.Length > 0 ? Math.Min(command[0], command.Length - 1) : 0;
            string name = Encoding.ASCII.GetString(command, Math.Min(1, command.Length), length);
            if (name == "ERROR")
            {
                throw new WireException("the publisher refused the connection");
            }
            Ready |= name == "READY";
        }

        private static void AddFrame(List<byte> said, int flags, string text)
        {
            byte[] body = Encoding.UTF8.GetBytes(text);
            if (body.Length > 255)
            {
                throw new WireException($"expected a name of at most 200 bytes, got {body.Length}");
            }
            said.Add((byte)flags);
            said.Add((byte)body.Length);
            said.AddRange(body);
        }
    }
}
