"""The benchmark of real shapes, at a shape that runs anywhere; and what it would do on GPUs."""

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from scripts.bench_gpu.__main__ import main, plan_of
from scripts.bench_gpu.shapes import SMALL, T2V_A14B, TI2V_5B, _made, _with_whole_parts, part_sizes
from scripts.bench_gpu.ways import ALONE, Cost, measure, ways
from wan_models.pipelines.acceleration import transformers
from wan_models.plan import Plan


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_without_a_gpu_it_says_so(capsys):
    main([])
    assert "No CUDA GPU is present here" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_way_has_a_cost_beside_diffusers_alone(monkeypatch, tmp_path, dtype):
    """In bfloat16 too, as on a GPU."""
    for place in ("scripts.bench_gpu.ways", "wan_models.pipelines.engine"):
        monkeypatch.setattr(f"{place}.own_dtype", lambda: dtype)
    chosen = {name: way for name, way in ways(Plan.RESIDENT).items() if way.options.attention == "native"}
    del chosen["compiled blocks"]  # which takes a minute
    costs = dict(measure(SMALL, 2, Plan.RESIDENT, tmp_path, chosen))
    assert list(costs) == [ALONE, *chosen]
    found = {name: cost for name, cost in costs.items() if isinstance(cost, Cost)}
    assert found.keys() == costs.keys(), costs
    shares = {name: cost.worked for name, cost in found.items() if chosen.get(name) and chosen[name].cached}
    assert shares == {
        "first-block cache *": 0.1,
        "MagCache *": 0.4,
        "TaylorSeer": pytest.approx(0.5, abs=0.11),
    }


def test_a_way_that_breaks_is_told_and_the_others_are_measured(monkeypatch, tmp_path):
    chosen = ways(Plan.RESIDENT)
    some = {name: chosen[name] for name in ("flash attention 3", "engine, resident")}
    monkeypatch.setattr("scripts.bench_gpu.ways._bare", lambda *_: 1 / 0)
    costs = dict(measure(SMALL, 2, Plan.RESIDENT, tmp_path, some))
    assert costs[ALONE] == "ZeroDivisionError: division by zero"
    assert "'_flash_3' cannot be used here" in str(costs["flash attention 3"])
    assert isinstance(costs["engine, resident"], Cost)


@pytest.mark.parametrize(
    ("shape", "gigabytes", "plan"),
    [
        (TI2V_5B, 85, Plan.RESIDENT),  # an H100
        (TI2V_5B, 25, Plan.MODEL_OFFLOAD),
        (T2V_A14B, 150, Plan.RESIDENT),  # an H200
        (T2V_A14B, 85, Plan.MODEL_OFFLOAD),
        (T2V_A14B, 48, None),
    ],
)
def test_a_model_is_measured_on_the_plan_that_it_would_run_on(shape, gigabytes, plan):
    assert plan_of(shape, gigabytes * 10**9) is plan


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
    sizes = part_sizes(shape)
    assert sizes["text_encoder"] / 1e9 == pytest.approx(11.4, rel=0.01)
    assert sum(size for name, size in sizes.items() if name.startswith("transformer")) == 2 * numbers


def test_random_weights_are_as_precise_as_loaded_ones(tmp_path):
    made = _with_whole_parts(_made(lambda: WanTransformer3DModel(**SMALL.transformer), torch.bfloat16))
    made.save_pretrained(tmp_path)
    loaded = WanTransformer3DModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    precisions = [{name: it.dtype for name, it in model.named_parameters()} for model in (made, loaded)]
    assert precisions[0] == precisions[1]
    assert set(precisions[0].values()) == {torch.bfloat16, torch.float32}
