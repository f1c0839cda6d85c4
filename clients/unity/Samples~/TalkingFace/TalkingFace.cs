// Copyright 2026 The avatar_bridge authors
// SPDX-License-Identifier: Apache-2.0

using AvatarBridge;
using UnityEngine;

/// <summary>
/// Put this on any object with a face below it and press Play: it listens, moves and speaks.
/// Start the other end with: avatar-bridge run --source mic --sink 'zmq=?audio=1'
/// </summary>
public sealed class TalkingFace : MonoBehaviour
{
    private void Start()
    {
        AvatarBridgeFace face = gameObject.AddComponent<AvatarBridgeFace>();
        face.Happened += told => Debug.Log($"avatar_bridge: {told.Name} {told.Detail}", this);
        gameObject.AddComponent<AudioSource>();
        gameObject.AddComponent<AvatarBridgeSound>();
    }
}
