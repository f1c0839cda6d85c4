// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Text;

namespace AvatarBridge
{
    /// <summary>
    /// Reads MessagePack values one after the other, without reflection and without boxing.
    /// Whatever is not as asked for throws WireException; nothing reads beyond the end.
    /// </summary>
    internal struct MessagePackReader
    {
        private const int MostElements = 1024;
        private const int Deepest = 8;

        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);

        private readonly byte[] bytes;
        private int position;

        public MessagePackReader(byte[] bytes)
        {
            this.bytes = bytes;
            position = 0;
        }

        public bool AtEnd => position == bytes.Length;

        public bool TryReadNil()
        {
            if (Peek() != 0xc0)
            {
                return false;
            }
            position++;
            return true;
        }

        /// <summary>Read the head of an array; its elements follow.</summary>
        public int ReadArray()
        {
            byte code = Take();
            long count = (code & 0xf0) == 0x90 ? code & 0x0f
                : code == 0xdc ? (long)Unsigned(2)
                : code == 0xdd ? (long)Unsigned(4)
                : throw Unexpected("an array", code);
            return count <= MostElements ? (int)count
                : throw new WireException($"expected at most {MostElements} elements, got {count}");
        }

        public long ReadInteger()
        {
            byte code = Take();
            if (code < 0x80 || code >= 0xe0)
            {
                return (sbyte)code;
            }
            switch (code)
            {
                case 0xcc: return (long)Unsigned(1);
                case 0xcd: return (long)Unsigned(2);
                case 0xce: return (long)Unsigned(4);
                case 0xcf:
                    ulong large = Unsigned(8);
                    return large <= long.MaxValue ? (long)large
                        : throw new WireException($"expected an integer below 2^63, got {large}");
                case 0xd0: return (sbyte)Unsigned(1);
                case 0xd1: return (short)Unsigned(2);
                case 0xd2: return (int)Unsigned(4);
                case 0xd3: return (long)Unsigned(8);
                default: throw Unexpected("an integer", code);
            }
        }

        public double ReadNumber()
        {
            switch (Peek())
            {
                case 0xca:
                    position++;
                    return BitConverter.ToSingle(BitConverter.GetBytes((uint)Unsigned(4)), 0);
                case 0xcb:
                    position++;
                    return BitConverter.Int64BitsToDouble((long)Unsigned(8));
                default:
                    return ReadInteger();
            }
        }

        public string ReadText()
        {
            byte code = Take();
            long length = (code & 0xe0) == 0xa0 ? code & 0x1f
                : code >= 0xd9 && code <= 0xdb ? (long)Unsigned(1 << (code - 0xd9))
                : throw Unexpected("a text", code);
            int start = Claim(length);
            try
            {
                return Utf8.GetString(bytes, start, (int)length);
            }
            catch (ArgumentException)
            {
                throw new WireException("expected text in UTF-8");
            }
        }

        /// <summary>Read bytes; the segment lies in the message.</summary>
        public ArraySegment<byte> ReadBinary()
        {
            byte code = Take();
            if (code < 0xc4 || code > 0xc6)
            {
                throw Unexpected("bytes", code);
            }
            long length = (long)Unsigned(1 << (code - 0xc4));
            return new ArraySegment<byte>(bytes, Claim(length), (int)length);
        }

        /// <summary>Pass over one value of any kind.</summary>
        public void Skip()
        {
            Skip(0);
        }

        private void Skip(int depth)
        {
            if (depth > Deepest)
            {
                throw new WireException($"expected at most {Deepest} arrays inside each other");
            }
            byte code = Peek();
            if (code == 0xc0 || code == 0xc2 || code == 0xc3)
            {
                position++;
            }
            else if (code >= 0xc4 && code <= 0xc6)
            {
                ReadBinary();
            }
            else if ((code & 0xe0) == 0xa0 || (code >= 0xd9 && code <= 0xdb))
            {
                ReadText();
            }
            else if ((code & 0xf0) == 0x90 || code == 0xdc || code == 0xdd)
            {
                for (int left = ReadArray(); left > 0; left--)
                {
                    Skip(depth + 1);
                }
            }
            else if ((code & 0xf0) == 0x80 || code == 0xde || code == 0xdf)
            {
                for (long left = 2 * ReadMap(); left > 0; left--)
                {
                    Skip(depth + 1);
                }
            }
            else
            {
                ReadNumber();
            }
        }

        private long ReadMap()
        {
            byte code = Take();
            return code < 0x90 ? code & 0x0f : (long)Unsigned(code == 0xde ? 2 : 4);
        }

        private byte Peek()
        {
            return position < bytes.Length ? bytes[position]
                : throw new WireException($"expected more than {bytes.Length} bytes");
        }

        private byte Take()
        {
            byte code = Peek();
            position++;
            return code;
        }

        private int Claim(long length)
        {
            if (length > bytes.Length - position)
            {
                throw new WireException($"expected {length} bytes, got {bytes.Length - position}");
            }
            int start = position;
            position += (int)length;
            return start;
        }

        private ulong Unsigned(int size)
        {
            int start = Claim(size);
            ulong value = 0;
            for (int place = start; place < position; place++)
            {
                value = value << 8 | bytes[place];
            }
            return value;
        }

        private static WireException Unexpected(string expected, byte code)
        {
            return new WireException($"expected {expected}, got the MessagePack code {code:x2}");
        }
    }
}
