"""Multi-head attention under the names of Wan's checkpoints, on diffusers' attention backends."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import nn

from wan_models.pipelines.s2v.rope import rotate


class WanS2VAttention(nn.Module, AttentionModuleMixin):
    """Attention whose queries and keys are RMS-normed over all heads at once.

    After ``WanSelfAttention`` and ``WanCrossAttention`` in ``wan/modules/model.py`` of Wan-Video/Wan2.2.

    Args:
        dim: channels of the states.
        heads: attention heads.
        eps: of the norms.
    """

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = nn.RMSNorm(dim, eps=eps)
        self.norm_k = nn.RMSNorm(dim, eps=eps)

    @property
    def processor(self) -> Any:  # type: ignore[override] # there an attribute, of a list of classes
        """Itself: where diffusers sets the attention backend."""
        return self

    def forward(
        self,
        states: torch.Tensor,
        context: torch.Tensor | None = None,
        rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Attend from ``states`` [batch, tokens, dim] to ``context``, or to themselves without one."""
        source = states if context is None else context
        query = self.norm_q(self.q(states)).unflatten(2, (self.heads, -1))
        key = self.norm_k(self.k(source)).unflatten(2, (self.heads, -1))
        value = self.v(source).unflatten(2, (self.heads, -1))
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        # Of a context, every process has all: what they share are the queries.
        parallel = self._parallel_config if context is None else None
        attended = dispatch_attention_fn(
            query, key, value, backend=self._attention_backend, parallel_config=parallel
        )
        return self.o(attended.flatten(2).type_as(query))  # type: ignore[no-any-return] # nn.Module.__call__
