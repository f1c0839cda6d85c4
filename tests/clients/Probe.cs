// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using AvatarBridge;

/// <summary>
/// The C# core for the tests: `script` obeys one command a line on standard input,
/// `receive URL AVATAR` prints what comes until the stream ends. Answers are lines of JSON.
/// </summary>
internal static class Probe
{
    private static readonly PresentationClock Clock = new PresentationClock();
    private static readonly JitterBuffer Frames = new JitterBuffer(Clock);
    private static readonly SoundBuffer Heard = new SoundBuffer(Clock);
    private static readonly FacePose Seen = new FacePose();

    private static int Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
        output.AutoFlush = arguments[0] == "receive";
        if (arguments[0] == "receive")
        {
            Receive(arguments[1], arguments[2], output);
        }
        for (string line; arguments[0] == "script" && (line = Console.In.ReadLine()) != null;)
        {
            string[] words = line.Split(' ');
            string answer = Obey(words[0], words);
            if (answer != null)
            {
                output.WriteLine(answer);
            }
        }
        output.Flush();
        return 0;
    }

    private static void Receive(string url, string avatar, TextWriter output)
    {
        long silentSince = Subscriber.Now;
        using (var subscriber = new Subscriber(url, avatar))
        {
            string state = "";
            while (Subscriber.Now - silentSince < 20000000000)
            {
                if (state != subscriber.State)
                {
                    state = subscriber.State;
                    output.WriteLine($"{{\"state\": {Quoted(state)}}}");
                }
                if (!subscriber.TryTake(out Arrival arrival))
                {
                    System.Threading.Thread.Sleep(1);
                    continue;
                }
                silentSince = arrival.Ns;
                output.WriteLine(Told(arrival.Message));
                if (arrival.Message is StreamEvent told && told.Name == "end")
                {
                    break;
                }
            }
            output.WriteLine($"{{\"refused\": {subscriber.Refused}, \"dropped\": {subscriber.Dropped}}}");
        }
    }

    private static string Obey(string command, string[] words)
    {
        switch (command)
        {
            case "decode": return Decoded(words[1], Bytes(words[2]));
            case "zmtp": return Unpacked(Bytes(words[1]), int.Parse(words[2]));
            case "shape": return Rig.ShapeOf(words[1]).ToString();
            case "push":
                Frames.Push(Frame(words), long.Parse(words[4]));
                return null;
            case "sample":
                bool shown = Frames.Sample(long.Parse(words[1]), Seen);
                return shown ? $"[{Seen.Index}, {Seen.Weights[0]:R}, {Seen.At}]" : "null";
            case "counts":
                return $"[{Frames.Received}, {Frames.Lost}, {Frames.TooLate}, {Clock.Delay}]";
            case "sound":
                var sound = (Sound)Wire.Read("audio", Bytes(words[1]));
                Heard.Push(sound, long.Parse(words[2]), 0);
                return null;
            case "read":
                var samples = new float[int.Parse(words[3])];
                Heard.Read(samples, 1, int.Parse(words[2]), long.Parse(words[1]));
                return Numbers(samples);
            default: throw new ArgumentException(command);
        }
    }

    /// <summary>push INDEX PUBLISH PRESENT ARRIVED VALUE FLAGS STREAM</summary>
    private static FaceFrame Frame(string[] words)
    {
        return new FaceFrame
        {
            Index = long.Parse(words[1]),
            PublishNs = long.Parse(words[2]),
            PresentNs = long.Parse(words[3]),
            Weights = Enumerable.Repeat(float.Parse(words[5]), Rig.Count).ToArray(),
            Flags = (FrameFlags)int.Parse(words[6]),
            Stream = words[7],
        };
    }

    private static string Decoded(string kind, byte[] payload)
    {
        try
        {
            return Told(Wire.Read(kind, payload));
        }
        catch (WireException error)
        {
            return $"{{\"refused\": {Quoted(error.Message)}}}";
        }
    }

    /// <summary>Answer with the parts of all messages in a stream that comes in pieces.</summary>
    private static string Unpacked(byte[] stream, int piece)
    {
        var protocol = new Zmtp();
        var found = new List<string>();
        try
        {
            for (int start = 0; start < stream.Length; start += piece)
            {
                byte[] bytes = stream.Skip(start).Take(piece).ToArray();
                protocol.Push(bytes, bytes.Length);
                for (byte[][] message; (message = protocol.Next()) != null;)
                {
                    found.AddRange(message.Select(part =>
                        Quoted(BitConverter.ToString(part).Replace("-", "").ToLower())));
                }
            }
            return $"[{string.Join(", ", found)}]";
        }
        catch (WireException error)
        {
            return $"{{\"refused\": {Quoted(error.Message)}}}";
        }
    }

    private static string Told(object message)
    {
        if (message is FaceFrame face)
        {
            return $"{{\"kind\": \"face\", \"index\": {face.Index}, \"capture\": {face.CaptureNs}, "
                + $"\"publish\": {face.PublishNs}, \"present\": {face.PresentNs}, "
                + $"\"fps\": {face.Fps:R}, \"weights\": {Numbers(face.Weights)}, "
                + $"\"head\": {Numbers(face.Head)}, \"eyes\": {Numbers(face.Eyes)}, "
                + $"\"flags\": {(int)face.Flags}, \"stream\": {Quoted(face.Stream)}}}";
        }
        if (message is Meta meta)
        {
            return $"{{\"kind\": \"meta\", \"stream\": {Quoted(meta.Stream)}, "
                + $"\"avatar\": {Quoted(meta.Avatar)}, "
                + $"\"names\": [{string.Join(", ", meta.Names.Select(Quoted))}], "
                + $"\"fps\": {meta.Fps:R}, \"latency\": {meta.LatencyMs:R}, "
                + $"\"bundle\": {Quoted(meta.Bundle)}, \"rate\": {meta.SampleRate}}}";
        }
        if (message is Sound sound)
        {
            return $"{{\"kind\": \"audio\", \"start\": {sound.Start}, "
                + $"\"capture\": {sound.CaptureNs}, \"present\": {sound.PresentNs}, "
                + $"\"rate\": {sound.SampleRate}, \"samples\": {Numbers(sound.Samples)}}}";
        }
        var told = (StreamEvent)message;
        return $"{{\"kind\": \"event\", \"name\": {Quoted(told.Name)}, "
            + $"\"detail\": {Quoted(told.Detail)}}}";
    }

    private static string Numbers(float[] values)
    {
        return values == null ? "null"
            : $"[{string.Join(", ", values.Select(value => value.ToString("R")))}]";
    }

    private static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char letter in text)
        {
            quoted.Append(letter < ' ' || letter == '"' || letter == '\\' || letter > '~'
                ? $"\\u{(int)letter:x4}" : letter.ToString());
        }
        return quoted.Append('"').ToString();
    }

    private static byte[] Bytes(string hex)
    {
        var bytes = new byte[hex.Length / 2];
        for (int place = 0; place < bytes.Length; place++)
        {
            bytes[place] = Convert.ToByte(hex.Substring(2 * place, 2), 16);
        }
        return bytes;
    }
}
