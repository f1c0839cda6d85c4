# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Building blocks: causal convolution with state, biased attention in seconds, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Final

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from model.condition import UNSEEN, Condition


class CausalConv(nn.Module):
    """A convolution over time that sees only the past; `y, state = f(x, state)`."""

    def __init__(self, channels: int, outputs: int, *, kernel: int, stride: int = 1,
                 groups: int = 1, dilation: int = 1) -> None:
        """Make a convolution whose state is what it still needs of the last inputs."""
        super().__init__()
        self.conv = nn.Conv1d(channels, outputs, kernel, stride=stride, groups=groups,
                              dilation=dilation)
        self.history = dilation * (kernel - 1) + 1 - stride

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (batch, channels, time) and state (batch, channels, history)."""
        joined = torch.cat([state, x], dim=2)
        return self.conv(joined), joined[:, :, joined.shape[2] - self.history:]


class ConvBlock(nn.Module):
    """Depthwise causal convolution and a two-layer perceptron, residual (ConvNeXt's form)."""

    def __init__(self, width: int, *, kernel: int = 5, dilation: int = 1,
                 expansion: int = 2) -> None:
        """Make a block of `width` channels."""
        super().__init__()
        self.depthwise = CausalConv(width, width, kernel=kernel, groups=width, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (batch, width, time)."""
        y, state = self.depthwise(x, state)
        y = self.norm(y.transpose(1, 2))
        y = self.down(F.gelu(self.up(y), approximate='tanh'))
        return x + y.transpose(1, 2), state


class SecondsBias(nn.Module):
    """
    An additive attention bias that depends on a distance in seconds alone.

    The slope is ALiBi's (Press et al. 2022, as in DiffSpeaker's biased attention) per 20 ms; the
    radial basis lets a head prefer the future or the past. Outside `span` nothing is seen.
    """

    def __init__(self, heads: int, span: tuple[float, float], *, centres: int = 16) -> None:
        """Bias distances key - query within `span` seconds."""
        super().__init__()
        slopes = torch.tensor([2.0 ** (-8.0 * (h + 1) / heads) for h in range(heads)])
        self.raw_slope = nn.Parameter(torch.log(torch.expm1(slopes)))
        self.shape = nn.Parameter(torch.zeros(heads, centres))
        self.span = span
        self.register_buffer('centres', torch.linspace(span[0], span[1], centres))
        self.width = (span[1] - span[0]) / (centres - 1)

    def forward(self, query_times: Tensor, key_times: Tensor) -> Tensor:
        """Return (batch, heads, queries, keys) from (batch, queries) and (batch, keys)."""
        distance = key_times[:, None, :] - query_times[:, :, None]
        basis = torch.exp(-(((distance[..., None] - self.centres) / self.width) ** 2))
        learnt = torch.matmul(basis, self.shape.transpose(0, 1)).permute(0, 3, 1, 2)
        slope = F.softplus(self.raw_slope)[None, :, None, None]
        bias = learnt - slope * distance.abs()[:, None] / 0.02
        seen = (distance >= self.span[0]) & (distance <= self.span[1])
        return torch.where(seen[:, None], bias, torch.full_like(bias, UNSEEN))


class Attention(nn.Module):
    """Multi-head attention over given keys and values, with an additive bias."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the projections of queries, keys, values and the result."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def remember(self, tokens: Tensor) -> Tensor:
        """Return keys and values (batch, time, 2 width) of tokens (batch, time, width)."""
        return self.key_value(tokens)

    def forward(self, x: Tensor, key_value: Tensor, bias: Tensor) -> Tensor:
        """Attend from x (batch, queries, width)."""
        key, value = key_value.chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.query(x), key, value))
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(query.shape[3]) + bias
        mixed = torch.matmul(torch.softmax(scores, dim=-1), value)
        return self.out(mixed.transpose(1, 2).reshape(x.shape[0], -1, x.shape[2]))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)


class Told(nn.Module):
    """
    What a step is told besides its noise time, by name, as one vector (batch, width).

    It is nothing until it was trained: a student begins as its teacher.
    """

    #: The greatest value of each, for the embedding's [0, 1].
    SCALE: Final = {'step_size': 1.0, 'guidance': 4.0}

    def __init__(self, names: Sequence[str], width: int) -> None:
        """Embed the fields `names` of a condition."""
        super().__init__()
        self.embeddings = nn.ModuleDict({name: TimestepEmbedding(width) for name in names})
        for embedding in self.embeddings.values():
            nn.init.zeros_(embedding.down.weight)
            nn.init.zeros_(embedding.down.bias)

    def forward(self, condition: Condition) -> Tensor:
        """Return the sum of the embeddings; zeros where nothing is told."""
        total = torch.zeros_like(condition.style[:, :1])
        for name, embedding in self.embeddings.items():
            total = total + embedding(getattr(condition, name) / self.SCALE[name])
        return total


class TimestepEmbedding(nn.Module):
    """Noise time in [0, 1] -> (…, width): sinusoids and a perceptron."""

    def __init__(self, width: int) -> None:
        """Make an embedding of `width` features."""
        super().__init__()
        self.register_buffer('frequencies', torch.exp(torch.linspace(0.0, math.log(200.0), 32)))
        self.up = nn.Linear(64, width)
        self.down = nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        """Embed (batch, frames) noise times."""
        angles = timestep[..., None] * self.frequencies
        waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        return self.down(F.silu(self.up(waves)))
