"""What only one view sees: cars and people, somewhere else whenever one looks."""

import numpy as np

from aenet.data.city.cars import paint_car
from aenet.data.city.moment import Moment
from aenet.data.city.noise import Rng
from aenet.data.city.people import paint_person
from aenet.data.city.rays import Rays
from aenet.data.city.screen import Screen
from aenet.data.city.traffic import occupied


def paint_transients(
    rng: Rng,
    screen: Screen,
    rays: Rays,
    slots: np.ndarray,
    camera: tuple[float, float, float],
    ground: float,
    moment: Moment,
    car_label: int,
    person_label: int,
) -> None:
    """Cars and pedestrians around the camera, hidden by whatever is nearer."""
    x, y, _ = camera
    gap = np.hypot(slots["x"] - x, slots["y"] - y)
    cars = occupied(rng, slots[(gap > 5) & (gap < 60)], float(rng.uniform(0.3, 1.7)))
    cars = cars[np.argsort(-np.hypot(cars[:, 0] - x, cars[:, 1] - y), kind="stable")]
    for car in cars:
        paint_car(rng, screen, rays, car, camera, ground, moment, car_label)
    walks = slots[(gap > 3) & (gap < 45)]
    count = int(min(len(walks), rng.poisson(2.2)))
    for k in rng.choice(len(walks), count, replace=False) if count else ():
        spot = np.array([walks["walk_x"][k], walks["walk_y"][k]]) + rng.normal(0, 0.6, 2)
        paint_person(rng, screen, rays, spot, camera, ground, moment, person_label)
