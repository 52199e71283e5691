"""Windows and shifts of azimuth: the compass literals, and FFT against the loop it stands for."""

import numpy as np
import pytest

from aenet.io.errors import AenetError
from aenet.retrieval import azimuth
from aenet.view import fieldofview
from aenet.view.spec import Paint, Unseen

ALL = np.ones((1, 16), bool)


def painted(rule: Paint) -> Unseen:
    return Unseen(rule=rule, colour=(9, 9, 9))


def seen(width: int, fov_deg: float, centre: int) -> np.ndarray:
    return np.asarray(fieldofview.seen(width, float(fov_deg), centre))  # the type checks of the tests take no int


def maps(n: int, seed: int, shape: tuple[int, int, int] = (5, 3, 8)) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)
    return np.asarray(x / np.linalg.norm(x.reshape(n, -1), axis=1)[:, None, None, None])


def test_ninety_degrees_to_the_north_keep_the_middle_and_to_the_south_the_ends() -> None:
    assert np.flatnonzero(seen(16, 90, 8)).tolist() == [6, 7, 8, 9]
    assert np.flatnonzero(seen(16, 90, 0)).tolist() == [0, 1, 14, 15]
    assert np.flatnonzero(seen(16, 90, 4)).tolist() == [2, 3, 4, 5]  # west
    assert np.flatnonzero(seen(16, 90, 12)).tolist() == [10, 11, 12, 13]  # east
    assert seen(16, 360, 3).all()
    assert seen(16, 1, 8).sum() == 1


@pytest.mark.parametrize(
    ("fov_deg", "centre", "expected"),
    [
        (360, 0, [1, 1, 1, 1, 1, 1, 1, 1]),
        (180, 128, [0, 0, 1, 1, 1, 1, 0, 0]),
        (90, 128, [0, 0, 0, 1, 1, 0, 0, 0]),
        (90, 144, [0, 0, 0, 0.5, 1, 0.5, 0, 0]),
        (90, 0, [1, 0, 0, 0, 0, 0, 0, 1]),
        (67.5, 128, [0, 0, 0, 0.75, 0.75, 0, 0, 0]),
    ],
)
def test_features_count_by_their_share_of_columns_seen(fov_deg: float, centre: int, expected: list[float]) -> None:
    """256 columns, 8 features of 45 degrees each; north is between features 3 and 4."""
    weights = fieldofview.feature_weights(seen(256, fov_deg, centre), 8)
    assert weights.tolist() == expected


def test_features_that_do_not_divide_the_view() -> None:
    weights = fieldofview.feature_weights(seen(10, 180, 5), 4)  # columns 3..7; features of 2.5 columns
    assert weights.tolist() == pytest.approx([0, 2 / 2.5, 2.5 / 2.5, 0.5 / 2.5])


def test_a_camera_headed_east_has_the_east_in_its_centre() -> None:
    view = np.arange(16, dtype=np.uint8)[None, None, :, None].repeat(3, axis=3)  # each column its own number
    east = fieldofview.look(view, np.array([4]), ALL, painted("network_mean"))
    assert east[0, 0, 8].tolist() == [12, 12, 12]  # 3W/4 is east
    part = fieldofview.look(view, np.array([4]), seen(16, 90, 8)[None], painted("network_mean"))
    assert part[0, 0, :, 0].tolist() == [9] * 6 + [10, 11, 12, 13] + [9] * 6
    assert view[0, 0, 0, 0] == 0  # the input is as it was


def test_the_nearest_column_seen_is_repeated_around_the_circle() -> None:
    columns = seen(16, 90, 0)  # 14, 15, 0, 1
    expected = [0, 1, 1, 1, 1, 1, 1, 1, 14, 14, 14, 14, 14, 14, 14, 15]
    expected[7:9] = [1, 14]  # 7 is six from 1 and seven from 14; 8 is six from 14
    assert fieldofview.nearest_seen(columns[None])[0].tolist() == expected
    view = np.arange(16, dtype=np.uint8)[None, None, :, None].repeat(3, axis=3)
    repeated = fieldofview.look(view, np.array([4]), seen(16, 90, 8)[None], painted("edge"))
    assert repeated[0, 0, :, 0].tolist() == [10] * 7 + [11, 12] + [13] * 7  # 15 is six from 9 and seven from 6
    own = fieldofview.look(view, np.array([4]), seen(16, 90, 8)[None], painted("view_mean"))
    assert own[0, 0, :, 0].tolist() == [12] * 6 + [10, 11, 12, 13] + [12] * 6  # the mean is 11.5, rounded to even
    everything = fieldofview.look(view, np.array([0]), ALL, painted("edge"))
    assert np.array_equal(everything, view)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("edge", [[1, 1, 2, 2], [1, 1, 2, 2], [5, 5, 6, 6], [5, 5, 6, 6]]),  # columns 0 and 3 show nothing themselves
        ("view_mean", [[4, 1, 4, 4], [4, 4, 2, 4], [4, 5, 6, 4], [4, 4, 4, 4]]),  # of 1, 2, 5, 6: 3.5, to even
        ("network_mean", [[9, 1, 9, 9], [9, 9, 2, 9], [9, 5, 6, 9], [9, 9, 9, 9]]),
    ],
)
def test_rows_that_a_photo_does_not_reach_are_painted_too(rule: Paint, expected: list[list[int]]) -> None:
    """By `edge` each column's own nearest row first, the upper of two as near, then the nearest column so completed."""
    shown = np.array([[0, 1, 0, 0], [0, 0, 2, 0], [0, 5, 6, 0], [0, 0, 0, 0]], np.uint8)
    found = fieldofview.paint(shown[None, ..., None].repeat(3, axis=3), (shown > 0)[None], painted(rule))
    assert found[0, ..., 0].tolist() == expected and (found == found[..., :1]).all()


def test_looking_is_the_inverse_of_turning_north() -> None:
    from aenet.data.views import turn_north

    view = np.random.default_rng(0).integers(0, 255, (1, 2, 16, 3)).astype(np.uint8)
    assert np.array_equal(
        turn_north(fieldofview.look(view, np.array([4]), ALL, painted("network_mean"))[0], 90.0), view[0]
    )


@pytest.mark.parametrize("k", [0, 1, 3, 7])
@pytest.mark.parametrize("fov_deg", [360, 180, 90])
def test_a_map_rolled_by_k_features_is_found_at_shift_k(k: int, fov_deg: float) -> None:
    reference = maps(4, 1)
    weights = fieldofview.feature_weights(seen(64, fov_deg, 32), 8)
    query = np.roll(reference, -k, axis=3)  # query[x] = reference[x + k]
    hidden = np.where(weights > 0, query, np.float32(7))  # nothing outside the window counts
    scores = azimuth.correlate(hidden, reference, weights)
    own = scores[np.arange(4), np.arange(4)]
    assert (own.argmax(1) == k).all()
    assert np.allclose(own.max(1), 1, atol=1e-5)
    assert (scores.max(2).argmax(1) == np.arange(4)).all()


@pytest.mark.parametrize("shape", [(5, 3, 8), (4, 1, 7), (6, 1, 1), (3, 2, 2)])
def test_fft_equals_the_loop_over_shifts(shape: tuple[int, int, int]) -> None:
    query, reference, width = maps(3, 2, shape), maps(5, 3, shape), shape[2]
    weights = np.random.default_rng(4).uniform(0.1, 1, width).astype(np.float32)
    expected = np.empty((3, 5, width))
    for q in range(3):
        for r in range(5):
            for shift in range(width):
                moved = np.stack([reference[r, :, :, (x + shift) % width] for x in range(width)], axis=-1)
                a, b = query[q].astype(np.float64), moved.astype(np.float64)
                expected[q, r, shift] = (weights * a * b).sum() / np.sqrt(
                    (weights * a * a).sum() * (weights * b * b).sum()
                )
    assert np.allclose(azimuth.correlate(query, reference, weights), expected, atol=1e-6)
    known = azimuth.compare(query, reference, weights[None])
    assert np.allclose(known, expected[:, :, 0], atol=1e-6)
    diagonal = np.arange(3)
    pairs = azimuth.correlate_pairs(query, reference[:3], weights)
    assert np.allclose(pairs, expected[diagonal, diagonal], atol=1e-6)
    assert np.allclose(azimuth.compare_pairs(query, reference[:3], weights[None]), pairs[:, 0], atol=1e-6)


def test_a_known_heading_and_the_whole_circle_is_plain_ranking() -> None:
    query, reference = maps(6, 5), maps(9, 6)
    plain = query.reshape(6, -1) @ reference.reshape(9, -1).T
    assert np.allclose(azimuth.compare(query, reference, np.ones((1, 8), np.float32)), plain, atol=1e-6)
    best = azimuth.correlate(query, reference, np.ones(8, np.float32))
    assert np.allclose(best[:, :, 0], plain, atol=1e-6)


def test_an_empty_window_is_like_nothing() -> None:
    query, reference = maps(2, 7), np.zeros((2, 5, 3, 8), np.float32)
    assert not azimuth.correlate(query, reference, np.ones(8, np.float32)).any()
    assert not azimuth.compare(reference, query, np.ones((1, 8), np.float32)).any()


def scene(columns: int, seed: int) -> np.ndarray:
    """A smooth panorama [1, C, 1, columns] of six channels."""
    generator, angle = np.random.default_rng(seed), np.arange(columns) / columns * 2 * np.pi
    waves = [np.cos(m * angle + generator.uniform(0, 6.28, (6, 1))) for m in range(1, 4)]
    return np.asarray(sum(waves), np.float32)[None, :, None, :]


def features(panorama: np.ndarray) -> np.ndarray:
    """A network of one layer: the mean of each eighth of the panorama."""
    return np.asarray(panorama.reshape(1, 6, 1, 8, -1).mean(-1))


@pytest.mark.parametrize("fov_deg", [360, 180])
@pytest.mark.parametrize("turn", [0, 1, 13, 100, 255])
def test_phases_find_headings_between_features(turn: int, fov_deg: float) -> None:
    """Eight features are 45 degrees apart; four phases and the parabola find the heading to a fraction of that."""
    panorama, phases = scene(256, 8), 4
    scores = []
    for phase in range(phases):
        step = phase * 256 // 8 // phases
        weights = fieldofview.feature_weights(np.roll(seen(256, fov_deg, 128), -step), 8)
        query = features(np.roll(panorama, -(turn + step), axis=3))
        scores.append(azimuth.correlate(query, features(panorama), weights))
    fine = azimuth.interleave(np.stack(scores))
    assert fine.shape == (1, 1, 32)
    error = azimuth.angle_between(azimuth.peak_heading(fine), np.array(turn * 360 / 256))
    assert error.item() < 3.0


def test_phases_are_interleaved_by_what_they_mean() -> None:
    """Phase 1 of 2 at shift s means s - 1/2: fine shift 2 s - 1; at s = 0 that is -1, the last one."""
    scores = np.array([[10, 11, 12], [20, 21, 22]], np.float32)[:, None, None, :]
    assert azimuth.interleave(scores)[0, 0].tolist() == [10, 21, 11, 22, 12, 20]


def test_the_peak_of_a_parabola() -> None:
    x = np.arange(8)
    assert azimuth.peak_heading(-((x - 3.3) ** 2)).item() == pytest.approx(3.3 * 45)
    around = np.array([0.9, 0.5, 0, 0, 0, 0, 0, 0.9])  # between -1 and 0
    assert azimuth.peak_heading(around).item() % 360 > 315
    assert azimuth.peak_heading(np.zeros(8)).item() == 0.0
    assert azimuth.peak_heading(np.array([1.0])).item() == 0.0


def test_angles_are_measured_the_short_way() -> None:
    assert azimuth.angle_between(np.array([350.0, 10, 90, 0]), np.array([10.0, 350, 90, 180])).tolist() == [
        20,
        20,
        0,
        180,
    ]


def test_descriptors_of_another_size_are_no_maps() -> None:
    with pytest.raises(AenetError, match="10 dimensions are no maps of 3 x 1 x 4"):
        azimuth.as_maps(np.zeros((2, 10), np.float32), (3, 1, 4))
    row = np.arange(12, dtype=np.float32)[None]
    assert azimuth.as_maps(row, (3, 1, 4))[0, 1, 0].tolist() == [4, 5, 6, 7]
