// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using System.Collections.Generic;
using System.Linq;
using UnityEditor;
using UnityEngine;

namespace AvatarBridge
{
    /// <summary>
    /// Window > Avatar Bridge: how each face of the scene is doing, and which shapes move.
    /// </summary>
    public sealed class AvatarBridgeWindow : EditorWindow
    {
        private const double Refresh = 0.1;     // seconds

        private readonly HashSet<int> unfolded = new HashSet<int>();
        private Vector2 scroll;
        private double drawn;

        [MenuItem("Window/Avatar Bridge")]
        private static void Open()
        {
            GetWindow<AvatarBridgeWindow>("Avatar Bridge");
        }

        private void Update()
        {
            if (EditorApplication.timeSinceStartup - drawn > Refresh)
            {
                drawn = EditorApplication.timeSinceStartup;
                Repaint();
            }
        }

        private void OnGUI()
        {
            AvatarBridgeFace[] faces = FindObjectsOfType<AvatarBridgeFace>();
            if (faces.Length == 0)
            {
                EditorGUILayout.HelpBox("Add the component Avatar Bridge Face to the object above "
                    + "the face's meshes.", MessageType.Info);
            }
            scroll = EditorGUILayout.BeginScrollView(scroll);
            foreach (AvatarBridgeFace face in faces)
            {
                EditorGUILayout.LabelField(face.name, EditorStyles.boldLabel);
                EditorGUI.indentLevel++;
                Status(face);
                Mapping(face);
                EditorGUI.indentLevel--;
            }
            EditorGUILayout.EndScrollView();
        }

        private static void Status(AvatarBridgeFace face)
        {
            if (!Application.isPlaying)
            {
                EditorGUILayout.LabelField("Listens when the game plays");
                return;
            }
            EditorGUILayout.LabelField("State", face.State);
            if (face.Meta != null)
            {
                EditorGUILayout.LabelField("Stream", $"{face.Meta.Avatar}, {face.Meta.Fps:0.##} fps, "
                    + $"bundle {face.Meta.Bundle}, {face.Meta.LatencyMs:0} ms");
            }
            EditorGUILayout.LabelField("Frames", $"{face.Frames.Received} received, "
                + $"{face.Frames.Lost} lost, {face.Frames.TooLate} too late");
            EditorGUILayout.LabelField("Delay by jitter", $"{face.Clock.Delay / 1e6:0.0} ms");
        }

        private void Mapping(AvatarBridgeFace face)
        {
            if (!Application.isPlaying)
            {
                face.Map();
            }
            foreach (KeyValuePair<SkinnedMeshRenderer, ShapeMap> pair in face.Meshes)
            {
                if (pair.Key == null || pair.Key.sharedMesh.blendShapeCount == 0)
                {
                    continue;
                }
                int key = pair.Key.GetInstanceID();
                string title = $"{pair.Key.name}: {pair.Value.Count} of "
                    + $"{pair.Key.sharedMesh.blendShapeCount} shapes move";
                if (EditorGUILayout.Foldout(unfolded.Contains(key), title, true))
                {
                    unfolded.Add(key);
                    Shapes(pair.Key, pair.Value);
                }
                else
                {
                    unfolded.Remove(key);
                }
            }
        }

        private static void Shapes(SkinnedMeshRenderer mesh, ShapeMap map)
        {
            EditorGUI.indentLevel++;
            foreach (KeyValuePair<int, string> link in map.Sources())
            {
                string name = mesh.sharedMesh.GetBlendShapeName(link.Key);
                EditorGUILayout.LabelField(
                    name, $"{link.Value}  {mesh.GetBlendShapeWeight(link.Key):0}");
            }
            string missing = string.Join(", ", map.Missing().ToArray());
            if (missing.Length > 0)
            {
                EditorGUILayout.HelpBox($"No shape for: {missing}. Rules of the component say what "
                    + "moves shapes with other names.", MessageType.None);
            }
            EditorGUI.indentLevel--;
        }
    }
}
