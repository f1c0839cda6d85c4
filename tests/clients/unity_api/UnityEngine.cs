// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

// What clients/unity uses of Unity's public API, as its manual declares it, so that the package's
// components are type-checked where there is no Unity. Nothing here runs.

using System;
using System.Collections.Generic;

namespace UnityEngine
{
    [AttributeUsage(AttributeTargets.All)]
    public sealed class TooltipAttribute : Attribute
    {
        public TooltipAttribute(string tooltip) { }
    }

    [AttributeUsage(AttributeTargets.All)]
    public sealed class RangeAttribute : Attribute
    {
        public RangeAttribute(float min, float max) { }
    }

    public sealed class SerializeField : Attribute { }

    public sealed class DisallowMultipleComponent : Attribute { }

    public sealed class AddComponentMenu : Attribute
    {
        public AddComponentMenu(string menuName) { }
    }

    public sealed class RequireComponent : Attribute
    {
        public RequireComponent(Type requiredComponent) { }
    }

    public class Object
    {
        public string name { get; set; }
        public int GetInstanceID() => throw null;
        public static bool operator ==(Object x, Object y) => throw null;
        public static bool operator !=(Object x, Object y) => throw null;
        public override bool Equals(object other) => throw null;
        public override int GetHashCode() => throw null;
        public static T[] FindObjectsOfType<T>() where T : Object => throw null;
    }

    public class ScriptableObject : Object { }

    public class GameObject : Object
    {
        public T AddComponent<T>() where T : Component => throw null;
    }

    public class Component : Object
    {
        public GameObject gameObject => throw null;
        public Transform transform => throw null;
        public T GetComponent<T>() => throw null;
        public T GetComponentInParent<T>() => throw null;
        public T[] GetComponentsInChildren<T>(bool includeInactive) => throw null;
    }

    public class Behaviour : Component
    {
        public bool enabled { get; set; }
        public bool isActiveAndEnabled => throw null;
    }

    public class MonoBehaviour : Behaviour { }

    public class Transform : Component
    {
        public Transform parent { get; set; }
        public Quaternion rotation { get; set; }
        public Quaternion localRotation { get; set; }
    }

    public class AudioSource : Behaviour
    {
        public void Play() { }
    }

    public sealed class Mesh : Object
    {
        public int blendShapeCount => throw null;
        public string GetBlendShapeName(int shapeIndex) => throw null;
    }

    public class SkinnedMeshRenderer : Component
    {
        public Mesh sharedMesh { get; set; }
        public float GetBlendShapeWeight(int index) => throw null;
        public void SetBlendShapeWeight(int index, float value) { }
    }

    /// <summary>Here because it shares a name with what a face wears.</summary>
    public struct Pose { }

    public struct Vector2 { }

    public struct Quaternion
    {
        public static Quaternion Euler(float x, float y, float z) => throw null;
        public static Quaternion Inverse(Quaternion rotation) => throw null;
        public static Quaternion operator *(Quaternion lhs, Quaternion rhs) => throw null;
    }

    public static class Mathf
    {
        public const float Rad2Deg = 57.29578f;
    }

    public static class Application
    {
        public static bool isPlaying => throw null;
    }

    public static class Debug
    {
        public static void Log(object message, Object context) { }
        public static void LogError(object message, Object context) { }
    }

    public static class AudioSettings
    {
        public static int outputSampleRate => throw null;
        public static void GetDSPBufferSize(out int bufferLength, out int numBuffers) => throw null;
    }
}

namespace UnityEditor
{
    using UnityEngine;

    public sealed class MenuItem : Attribute
    {
        public MenuItem(string itemName) { }
    }

    public enum MessageType { None, Info, Warning, Error }

    public sealed class GUIStyle { }

    public sealed class GUILayoutOption { }

    public static class EditorStyles
    {
        public static GUIStyle boldLabel => throw null;
    }

    public class EditorWindow : ScriptableObject
    {
        public static T GetWindow<T>(string title) where T : EditorWindow => throw null;
        public void Repaint() { }
    }

    public static class EditorApplication
    {
        public static double timeSinceStartup => throw null;
    }

    public static class EditorGUI
    {
        public static int indentLevel { get; set; }
    }

    public static class EditorGUILayout
    {
        public static void HelpBox(string message, MessageType type) { }
        public static void LabelField(string label, params GUILayoutOption[] options) { }
        public static void LabelField(string label, GUIStyle style, params GUILayoutOption[] o) { }
        public static void LabelField(string label, string label2, params GUILayoutOption[] o) { }
        public static bool Foldout(bool foldout, string content, bool toggle) => throw null;
        public static Vector2 BeginScrollView(Vector2 position, params GUILayoutOption[] o) => throw null;
        public static void EndScrollView() { }
    }
}
