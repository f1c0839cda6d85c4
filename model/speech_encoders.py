# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Encoders of speech that others trained: HuBERT, wav2vec2, WavLM and Whisper, through transformers.

They hear a whole excerpt at once, past and future, so a network with one of them does not stream:
it serves as a teacher and in offline evaluation. Tokens are 20 ms apart, as our own encoder's.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
import torch.nn.functional as F
from transformers import AutoConfig, AutoModel, WhisperFeatureExtractor

from avatar_bridge.audio import mel

WAVES: Final = ('hubert', 'wav2vec2', 'wavlm')
TOKEN: Final = 2 * mel.STRIDE       # samples between tokens
LENGTH: Final = 400                 # samples that the first layers of WAVES make a token of


class SpeechEncoder(nn.Module):
    """
    Samples (batch, HISTORY + 320 n) -> tokens (batch, n, width), linear on what was pre-trained.

    Token i is made of sound up to sample 320 (i + 1) after the history, and of its surroundings as
    far as attention reaches. As in DiffSpeaker, convolutions are frozen and the rest is tuned.
    """

    streams: Final = False

    def __init__(self, source: str, width: int) -> None:
        """Load the folder or hub id `source`; raises `ValueError` where it is not of this kind."""
        super().__init__()
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in (*WAVES, 'whisper'):
            raise ValueError(f'{source} is a {config.model_type}, expected one of '
                             f'{", ".join(WAVES)} or whisper')
        model = AutoModel.from_pretrained(source)
        self.whisper = config.model_type == 'whisper'
        self.model = model.encoder if self.whisper else model
        frozen = ([self.model.conv1, self.model.conv2] if self.whisper
                  else [self.model.feature_extractor])
        for part in frozen:
            part.requires_grad_(False)
        if self.whisper:
            self.extractor = extractor(config)
        self.into = nn.Linear(config.hidden_size, width)

    def initial_state(self, batch: int = 1) -> list[Tensor]:    # noqa: ARG002 - the common face
        """Return no caches: nothing is kept between excerpts."""
        return []

    def forward(self, samples: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Encode excerpts of [-1, 1] at 16 kHz."""
        tokens = self._heard_by_whisper(samples) if self.whisper else self._heard(samples)
        return self.into(tokens), state

    def _heard(self, samples: Tensor) -> Tensor:
        heard = samples[:, mel.HISTORY - (LENGTH - TOKEN):]
        heard = (heard - heard.mean(dim=1, keepdim=True)) / (heard.std(dim=1, keepdim=True) + 1e-4)
        return self.model(heard).last_hidden_state

    def _heard_by_whisper(self, samples: Tensor) -> Tensor:
        """Return the tokens of the excerpts, a piece of at most the encoder's length at a time."""
        samples = samples[:, mel.HISTORY:]
        most = self.extractor.n_samples
        pieces = [self._piece(samples[:, start:start + most])
                  for start in range(0, samples.shape[1], most)]
        return torch.cat(pieces, dim=1)

    def _piece(self, samples: Tensor) -> Tensor:
        features = self.extractor(list(samples.cpu().numpy()), sampling_rate=mel.SAMPLE_RATE,
                                  return_tensors='pt').input_features.to(samples.device)
        return self.model(features).last_hidden_state[:, :samples.shape[1] // TOKEN]


def extractor(config: Any) -> WhisperFeatureExtractor:
    """Return what makes Whisper's features for a model of this size."""
    return WhisperFeatureExtractor(feature_size=config.num_mel_bins,
                                   chunk_length=config.max_source_positions // 50)


def pad(samples: Tensor) -> Tensor:
    """Return (batch, HISTORY + 320 n) samples of (batch, m), silence around them."""
    return F.pad(samples, (mel.HISTORY, -samples.shape[1] % TOKEN))
