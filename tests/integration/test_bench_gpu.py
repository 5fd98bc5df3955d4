"""The benchmark of real shapes, at a shape that runs anywhere."""

from pathlib import Path

import pytest
import torch

from scripts.bench_gpu.__main__ import main
from scripts.bench_gpu.shapes import SMALL, T2V_A14B, TI2V_5B
from scripts.bench_gpu.ways import WAYS, Cost, measure
from wan_models.pipelines.acceleration import transformers


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_without_a_gpu_it_says_so(capsys):
    main([])
    assert "No CUDA GPU is present here" in capsys.readouterr().out


def test_each_way_has_a_cost_beside_diffusers_alone(monkeypatch):
    some = {name: WAYS[name] for name in ("engine, resident", "group offload", "fp8")}
    monkeypatch.setattr("scripts.bench_gpu.ways.WAYS", some)
    costs = dict(measure(SMALL, steps=2))
    assert list(costs) == ["diffusers alone", *some]
    assert all(isinstance(cost, Cost) for cost in costs.values())


@pytest.mark.parametrize(("shape", "billions"), [(TI2V_5B, 5.0), (T2V_A14B, 2 * 14.29)])
def test_the_shapes_are_those_of_the_published_models(shape, billions, monkeypatch):
    def meta(build, _dtype):
        with torch.device("meta"):
            return build()

    monkeypatch.setattr("scripts.bench_gpu.shapes._made", meta)
    pipe = shape.from_pretrained(Path(), dtype={"vae": torch.float32, "default": torch.bfloat16})
    numbers = sum(
        it.numel() for transformer in transformers(pipe).values() for it in transformer.parameters()
    )
    assert numbers / 1e9 == pytest.approx(billions, rel=0.001)
    assert sum(it.numel() for it in pipe.text_encoder.parameters()) * 2 / 1e9 == pytest.approx(11.4, rel=0.01)
