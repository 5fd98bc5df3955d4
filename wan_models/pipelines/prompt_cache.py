"""What a text encoder said of the last texts; the official negative prompt comes with every request."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Self

import torch
from transformers.modeling_outputs import BaseModelOutput

_Key = tuple[tuple[int, ...], bytes, bytes]


class PromptCache:
    """Stands in front of a text encoder, for every pipeline that shares it, and keeps its last answers.

    An answer depends on nothing but the tokens, so one that was kept is the same to the bit. It takes about
    4 MB of the host's memory in bfloat16. ``hits`` counts the texts that were answered from memory.
    """

    def __init__(self, encoder: Any, entries: int) -> None:
        self._encode = encoder.forward
        self._entries = entries
        self._kept: OrderedDict[_Key, torch.Tensor] = OrderedDict()
        self.hits = 0
        encoder.forward = self

    @classmethod
    def before(cls, encoder: Any, entries: int) -> Self:
        """The cache that stands in front of an encoder already, or a new one."""
        return encoder.forward if isinstance(encoder.forward, cls) else cls(encoder, entries)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> BaseModelOutput:
        """See UMT5EncoderModel.forward: token ids and mask, both [texts, tokens]."""
        key = (tuple(input_ids.shape), _bytes(input_ids), _bytes(attention_mask))
        if key in self._kept:
            self.hits += 1
            self._kept.move_to_end(key)
            return BaseModelOutput(last_hidden_state=self._kept[key].to(input_ids.device))
        states = self._encode(input_ids, attention_mask).last_hidden_state
        self._kept[key] = states.to("cpu", copy=True)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)
        return BaseModelOutput(last_hidden_state=states)


def _bytes(tensor: torch.Tensor) -> bytes:
    content: bytes = tensor.cpu().numpy().tobytes()
    return content
