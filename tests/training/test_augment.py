"""Augmentation: geometry moves both views as the world would, colour does not move anything."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aenet.training import augment as module
from aenet.training.augment import AugmentConfig
from aenet.view import fieldofview
from aenet.view.polar import polar_transform
from aenet.view.spec import Paint, Unseen

N, HEIGHT, WIDTH, SIDE = 16, 16, 64, 160


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (N, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=seeded(seed))


def augment(
    ground: Tensor, aerial: Tensor, config: AugmentConfig, generator: torch.Generator, part: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """All rows of two views, augmented as one batch."""
    rows = np.arange(len(ground))
    return module.augment(ground.numpy(), aerial.numpy(), rows, config, generator, part)


def smooth_tile() -> np.ndarray:
    """A tile that no turn and no mirror maps to itself."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    bands = [np.sin(5 * x + 2 * y + 1), np.cos(3 * y - x), np.sin(6 * x * y + x)]
    return (127 + 120 * np.stack(bands, -1)).astype(np.uint8)


def batch_of(view: np.ndarray) -> Tensor:
    return torch.from_numpy(view).expand(N, *view.shape)


def test_nothing_asked_nothing_changed() -> None:
    ground, aerial = augment(noise(1), noise(2), AugmentConfig(), seeded(0))
    assert ground.dtype == aerial.dtype == torch.uint8, "a quarter of the bytes"
    assert torch.equal(ground, noise(1))
    assert torch.equal(aerial, noise(2))


@pytest.mark.parametrize(
    "config", [AugmentConfig(roll=True), AugmentConfig(flip=True), AugmentConfig(roll=True, flip=True)]
)
def test_geometry_moves_both_views_alike(config: AugmentConfig) -> None:
    ground, aerial = augment(noise(), noise(), config, seeded(3))
    assert torch.equal(ground, aerial)
    assert not torch.equal(ground, noise().float())


def test_roll_turns_by_whole_columns_one_azimuth_a_pair() -> None:
    source = noise()
    ground, _ = augment(source, source, AugmentConfig(roll=True), seeded(0))
    turns = []
    for before, after in zip(source.float(), ground, strict=True):
        found = [k for k in range(WIDTH) if torch.equal(after, before.roll(-k, dims=1))]
        assert len(found) == 1
        turns += found
    assert len(set(turns)) > N // 2


def test_roll_is_a_turn_of_the_world() -> None:
    """A quarter's roll of the polar view is the polar view of the turned tile."""
    tile = smooth_tile()
    turned = polar_transform(np.rot90(tile).copy(), HEIGHT, WIDTH).astype(int)
    view = torch.from_numpy(polar_transform(tile, HEIGHT, WIDTH))
    rolled = view.roll(-WIDTH // 4, dims=1).numpy()
    assert np.abs(rolled - turned).max() <= 6  # a turned even tile lies one pixel aside
    many = view.expand(1000, *view.shape)
    ground, aerial = augment(many, many, AugmentConfig(roll=True), seeded(0))
    quarters = (ground.numpy() == rolled).all((1, 2, 3))
    assert quarters.any(), "one azimuth in 64 is a quarter"
    assert np.abs(aerial.numpy()[quarters] - turned).max() <= 6


def test_flip_is_a_mirror_of_the_world() -> None:
    """Mirroring the tile East for West maps column j to -j mod w, so North and South stay; not to w - 1 - j."""
    tile = smooth_tile()
    view = polar_transform(tile, HEIGHT, WIDTH)
    mirrored = polar_transform(tile[:, ::-1].copy(), HEIGHT, WIDTH).astype(int)
    ground, aerial = augment(batch_of(view), batch_of(view), AugmentConfig(flip=True), seeded(0))
    flipped = [row for row in range(N) if not torch.equal(ground[row], torch.from_numpy(view).float())]
    assert 2 <= len(flipped) <= N - 2, "about half are mirrored"
    for row in flipped:
        assert torch.equal(ground[row], aerial[row])
        error = np.abs(aerial[row].numpy() - mirrored).mean()
        assert error < 1.5  # a mirrored even tile lies one pixel aside
        assert np.abs(view[:, ::-1] - mirrored).mean() > 3 * error, "the mirror about the wrong column must be seen"


def test_same_generator_same_pixels() -> None:
    config = AugmentConfig(roll=True, flip=True, colour=0.3, erase=0.5)
    first, again, other = (augment(noise(1), noise(2), config, seeded(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    torch.manual_seed(123)
    apart = augment(noise(1), noise(2), config, seeded(5))
    assert torch.equal(apart[0], first[0]), "the global generator must not matter"


def test_source_pixels_are_left_alone() -> None:
    source = noise()
    augment(source, source, AugmentConfig(roll=True, flip=True, colour=0.5, erase=1.0), seeded(0))
    assert torch.equal(source, noise())


def test_colour_differs_between_views_and_stays_in_range() -> None:
    source = noise()
    ground, aerial = augment(source, source, AugmentConfig(colour=0.4), seeded(0))
    assert not torch.equal(ground, aerial)
    for view in (ground, aerial):
        assert view.min() >= 0
        assert view.max() <= 255
        gain = view.mean((1, 2)) / source.float().mean((1, 2))
        assert gain.std() > 0.05, "every image and channel has its own"
        assert gain.min() > 0.6**2 - 0.05
        assert gain.max() < 1.4**2 + 0.05


def test_colour_moves_nothing() -> None:
    """A grey image stays flat, whatever its gains."""
    grey = torch.full((N, HEIGHT, WIDTH, 3), 100, dtype=torch.uint8)
    ground, _ = augment(grey, grey, AugmentConfig(colour=0.4), seeded(0))
    assert torch.allclose(ground, ground[:, :1, :1], atol=1e-3)


def test_erase_paints_one_rectangle_of_the_ground_view() -> None:
    source = noise()
    ground, aerial = augment(source, source, AugmentConfig(erase=1.0), seeded(0))
    assert torch.equal(aerial, source.float())
    painted = (ground != source.float()).any(3)
    assert painted.any(2).any(1).sum() >= N - 2, "a few rectangles may be thinner than a pixel"
    for mask, before, after in zip(painted, source.float(), ground, strict=True):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        if len(rows) == 0:
            continue
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        assert mask[top:bottom, left:right].float().mean() > 0.95, "one solid rectangle"
        assert right - left <= WIDTH // 4
        assert bottom - top <= HEIGHT // 2
        assert torch.allclose(after[top, left], before.mean((0, 1)))


def test_erase_happens_as_often_as_asked() -> None:
    source = noise()
    touched = 0
    for seed in range(20):
        ground, _ = augment(source, source, AugmentConfig(erase=0.3), seeded(seed))
        touched += int((ground != source.float()).flatten(1).any(1).sum())
    assert 0.2 < touched / (20 * N) < 0.4


COMPASS = ["S", "SW", "W", "NW", "N", "NE", "E", "SE"]


def _read_compass(ground: Tensor) -> list[list[str]]:
    """Names of the columns of views whose grey is 10 times the number of their direction."""
    assert (ground == ground[:, :1, :, :1]).all(), "rows and channels stay together"
    return [[COMPASS[int(value) // 10] for value in row] for row in ground[:, 0, :, 0]]


def _compass(n: int) -> Tensor:
    return (10 * torch.arange(8, dtype=torch.uint8))[None, None, :, None].expand(n, 4, 8, 3)


def test_flip_by_the_compass() -> None:
    """North and South stay where they are, East and West change places."""
    ground, aerial = augment(_compass(12), _compass(12), AugmentConfig(flip=True), seeded(0))
    assert torch.equal(ground, aerial)
    found = {" ".join(row) for row in _read_compass(ground)}
    assert found == {"S SW W NW N NE E SE", "S SE E NE N NW W SW"}


def test_roll_and_flip_by_the_compass() -> None:
    """Every turn of the world and of its mirror, and nothing else."""
    ground, _ = augment(_compass(400), _compass(400), AugmentConfig(roll=True, flip=True), seeded(0))
    mirrored = [COMPASS[0], *COMPASS[:0:-1]]
    allowed = {" ".join(names[k:] + names[:k]) for names in (COMPASS, mirrored) for k in range(8)}
    assert {" ".join(row) for row in _read_compass(ground)} == allowed


@pytest.mark.parametrize("rule", ["edge", "view_mean", "network_mean"])
def test_a_narrow_view_keeps_one_arc_of_the_ground_view(rule: Paint) -> None:
    """And is painted elsewhere as evaluation and service paint: to half a grey level, which those round."""
    source, unseen = noise(), Unseen(rule=rule, colour=(9, 99, 199))
    config, rows = AugmentConfig(fov_deg=90.0), np.arange(N)
    ground, aerial = module.augment(source.numpy(), source.numpy(), rows, config, seeded(0), unseen=unseen)
    assert torch.equal(aerial, source)
    seen = (ground == source.float()).all(3).all(1)
    for arc in seen:  # one: going round, it begins once
        assert arc.sum() >= WIDTH // 4 and (arc & ~arc.roll(1)).sum() == (0 if arc.all() else 1)
    assert len(set(seen.sum(1).tolist())) > N // 3, "each has a width of its own"
    expected = fieldofview.paint(source.numpy(), seen.numpy()[:, None], unseen)
    assert np.abs(ground.numpy() - expected).max() <= 0.5 + 1e-3


def test_narrow_views_begin_anywhere_and_are_of_every_width() -> None:
    source = noise()[:1].expand(600, HEIGHT, WIDTH, 3)
    ground, _ = augment(source, source, AugmentConfig(fov_deg=90.0), seeded(0))
    seen = (ground == source.float()).all(3).all(1)
    begins = (seen & ~seen.roll(1, dims=1)).float().mean(0)
    assert (begins > 0).all(), "at every azimuth"
    width = seen.sum(1) / WIDTH * 360
    assert 90 <= width.min() < 100 and 350 < width.max() <= 360
    assert 215 < width.mean() < 235


def test_narrowing_changes_no_other_draw() -> None:
    plain = AugmentConfig(roll=True, flip=True, colour=0.2, erase=0.5)
    _, aerial = augment(noise(1), noise(2), plain, seeded(0))
    _, narrowed = augment(noise(1), noise(2), plain.model_copy(update={"fov_deg": 70.0}), seeded(0))
    assert torch.equal(aerial, narrowed)


def test_parts_of_a_batch_are_augmented_as_the_whole() -> None:
    config = AugmentConfig(roll=True, flip=True, colour=0.3, erase=0.5, fov_deg=120.0)
    whole = augment(noise(1), noise(2), config, seeded(7))
    for part in (slice(0, 5), slice(5, N)):
        some = augment(noise(1), noise(2), config, seeded(7), part)
        assert all(torch.equal(a, b[part]) for a, b in zip(some, whole, strict=True))


def test_colour_by_its_formula() -> None:
    """Contrast about the mean of all channels, then gains, then the range of a pixel: in doubles, from the draws."""
    source = noise(1)
    ground, aerial = augment(source, source, AugmentConfig(colour=0.6), seeded(0))
    generator = seeded(0)

    def factor(channels: int) -> np.ndarray:
        return 1 + 0.6 * (2 * torch.rand((N, 1, 1, channels), generator=generator).double().numpy() - 1)

    pixels = source.double().numpy()
    mean = pixels.mean((1, 2, 3), keepdims=True)
    for view in (ground, aerial):
        contrast, brightness, channels = factor(1), factor(1), factor(3)
        expected = (mean + contrast * (pixels - mean)) * brightness * channels
        assert (expected < 0).any() and (expected > 255).any()
        assert np.abs(view.numpy() - expected.clip(0, 255)).max() < 1e-3


def test_a_gpu_would_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its operations, on this machine's tensors: the same columns, and the same colours to 0.001 grey levels."""
    for config in (AugmentConfig(roll=True, flip=True), AugmentConfig(roll=True, flip=True, colour=0.3, fov_deg=90.0)):
        here = augment(noise(1), noise(2), config, seeded(3), slice(2, 9))
        with monkeypatch.context() as patch:
            patch.setattr(module, "_in_cache", module._on_device)
            there = augment(noise(1), noise(2), config, seeded(3), slice(2, 9))
        assert [view.dtype for view in here] == [view.dtype for view in there]
        for a, b in zip(here, there, strict=True):
            assert (a.float() - b.float()).abs().max() <= (1e-3 if config.colour else 0)


def test_the_number_of_threads_changes_no_bit() -> None:
    config, before = AugmentConfig(roll=True, flip=True, colour=0.3), torch.get_num_threads()
    large = torch.randint(0, 256, (3, 64, 256, 3), dtype=torch.uint8, generator=seeded(0))  # worth a second thread
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(augment(large, large.flip(0), config, seeded(3)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_rows_of_a_memory_map_in_any_number(tmp_path: Path) -> None:
    """Packed views are read-only maps; a batch takes some of their rows, and its part may be one pair."""
    np.save(tmp_path / "view.npy", noise().numpy())
    view = np.load(tmp_path / "view.npy", mmap_mode="r")
    config, rows = AugmentConfig(roll=True, flip=True, colour=0.2), np.array([1, 4, 5, 11])
    whole = module.augment(view, view, rows, config, seeded(0))
    plain = augment(noise()[rows], noise()[rows], config, seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(whole, plain, strict=True))
    one = module.augment(view, view, rows, config, seeded(0), slice(2, 3))
    assert all(torch.equal(a, b[2:3]) for a, b in zip(one, whole, strict=True))
    assert all(
        torch.is_tensor(v) and len(v) == 0 for v in module.augment(view, view, rows, config, seeded(0), slice(2, 2))
    )
