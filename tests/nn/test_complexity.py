"""What the paper's network costs, by count and by formula."""

import math
from itertools import pairwise

import pytest
import torch

from aenet.io.errors import AenetError
from aenet.nn.branches import Branch, ModelConfig
from aenet.nn.complexity import PAPER, RECOUNTED, VARIANTS, Complexity, complexity, table
from benchmarks.latency import measure

V2_S = 20_177_488


def config(name: str = "tf_efficientnetv2_s", **changes: object) -> ModelConfig:
    tree = {
        "backbone": {"name": name, "weights": "imagenet"},  # counting must not need them
        "attention": {"kind": "triplet"},
        "head": {"kind": "flatten"},
    }
    return ModelConfig.model_validate(tree | changes)


@pytest.fixture(scope="module")
def paper() -> Complexity:
    return complexity(config(), 128, 512)


def test_the_papers_network(paper: Complexity) -> None:
    """Method: 40.3556 M parameters, map 1280 x 4 x 16, 7.44 GMACs exact and 7.08 as thop counts, for both branches."""
    assert paper.parameters == 2 * (V2_S + 300)
    assert round(paper.parameters / 1e6, 4) == 40.3556
    assert paper.ground_parameters == paper.aerial_parameters == V2_S + 300
    assert paper.feature_map == (1280, 4, 16)
    assert round(paper.exact_macs / 1e9, 2) == 7.44
    assert round(paper.hooked_macs / 1e9, 2) == 7.08
    assert paper.descriptor_dims == 81_920 and paper.descriptor_bytes == 327_680


def test_attention_adds_what_its_formula_says(paper: Complexity) -> None:
    """The difference to the Baseline, branch by branch, on the 1280 x 4 x 16 map."""
    baseline = complexity(config(attention={"kind": "none"}), 128, 512)
    kernel = 2 * 49
    triplet = kernel * (4 * 16 + 1280 * 16 + 4 * 1280)  # gates over (H, W), (C, W) and (C, H)
    assert paper.exact_macs - baseline.exact_macs == 2 * triplet
    cbam = complexity(config(attention={"kind": "cbam"}), 128, 512)
    mlp = 2 * (1280 * 80 + 80 * 1280)  # shared by the mean and the maximum, run for each
    assert cbam.exact_macs - baseline.exact_macs == 2 * (mlp + kernel * 4 * 16)
    bam = complexity(config(attention={"kind": "bam"}), 128, 512)
    spatial = 64 * (1280 * 80 + 2 * 9 * 80 * 80 + 80)
    assert bam.exact_macs - baseline.exact_macs == 2 * (2 * 1280 * 80 + spatial)
    # Hooks see those modules and their batch norms, four an element.
    norms = 4 * (4 * 16 + 1280 * 16 + 4 * 1280)
    assert paper.hooked_macs - baseline.hooked_macs == 2 * (triplet + norms)


def test_heads_and_sharing() -> None:
    wide = config("test_efficientnet", head={"kind": "projection", "of": "flatten", "map_size": (2, 8), "dim": 32})
    flat = complexity(config("test_efficientnet"), 64, 256)
    projected = complexity(wide, 64, 256)
    inputs = math.prod(flat.feature_map)
    assert projected.parameters - flat.parameters == 2 * (inputs * 32 + 32)
    assert projected.exact_macs - flat.exact_macs == projected.hooked_macs - flat.hooked_macs == 2 * inputs * 32
    assert projected.descriptor_dims == 32
    shared = complexity(config("test_efficientnet", shared=True), 64, 256)
    assert shared.parameters == flat.ground_parameters and shared.exact_macs == flat.exact_macs


def test_macs_follow_the_size_of_the_view() -> None:
    """Four times the pixels, four times the work of all but the poolings' and squeezes' small layers."""
    small, large = (complexity(config("test_efficientnet"), *size) for size in ((64, 256), (128, 512)))
    assert large.parameters == small.parameters
    assert large.exact_macs == pytest.approx(4 * small.exact_macs, rel=0.01)


def test_table_has_the_ablations_rows_and_the_papers() -> None:
    frame = table(config("test_efficientnet"), 64, 256)
    assert list(frame["network"]) == [*VARIANTS, "SAFA", "DSM", "Polar-L2LTR"]
    rows = frame.set_index("network")
    assert rows["parameters, M"].notna().sum() == len(VARIANTS)
    for name, (parameters, flops) in PAPER.items():
        assert rows.loc[name, "parameters, M, paper"] == parameters and rows.loc[name, "GFLOPs, paper"] == flops
    assert rows["GMACs, recounted"].dropna().to_dict() == {"SAFA": 40.1, "DSM": 37.8, "Polar-L2LTR": 44.2}
    ours = rows.loc["AENet", "parameters, M"] - rows.loc["Baseline", "parameters, M"]
    assert ours == pytest.approx(600e-6)


def test_safas_recount_is_vgg16s_arithmetic() -> None:
    """Thirteen 3 x 3 convolutions at 128 x 512, halved after the 2nd, 4th, 7th and 10th; two branches.

    SAFA's own layers are small beside them: eight times two linear layers, from the cells of the last map to half as
    many and back.
    """
    widths = [[3, 64, 64], [64, 128, 128], [128, 256, 256, 256], [256, 512, 512, 512], [512, 512, 512, 512]]
    pixels = [128 * 512 // 4**stage for stage in range(5)]
    stages = zip(pixels, widths, strict=True)
    vgg = sum(n * 9 * a * b for n, stage in stages for a, b in pairwise(stage))
    heads = 8 * 2 * (4 * 16) * (4 * 16 // 2)
    assert round(2 * (vgg + heads) / 1e9, 1) == RECOUNTED["SAFA"]


def test_unknown_backbone_is_a_sentence() -> None:
    with pytest.raises(AenetError, match="has no model 'resnet5000'"):
        complexity(config("resnet5000"), 64, 256)


def test_latency_says_what_it_was_measured_under() -> None:
    random = config("test_efficientnet", backbone={"name": "test_efficientnet", "weights": "random"})
    got = measure(Branch(random), 32, 64, 3, torch.device("cpu"), repeats=5, warm_up=1)
    assert (got.device, got.precision, got.batch_size, got.repeats) == ("cpu", "float32", 3, 5)
    assert got.threads == torch.get_num_threads()
    assert 0 < got.fastest <= got.seconds <= got.slowest
    assert got.images_per_second * got.milliseconds_per_image == pytest.approx(1000)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the sentence is for machines without a GPU")
def test_latency_on_a_gpu_that_is_not_there_is_a_sentence() -> None:
    random = config("test_efficientnet", backbone={"name": "test_efficientnet", "weights": "random"})
    with pytest.raises(AenetError, match="torch sees no GPU"):
        measure(Branch(random), 32, 64, 1, torch.device("cuda"))
