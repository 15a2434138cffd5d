"""The renderer: distances are distances, rays hit what is there, and a picture can be drawn again."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import iter_modules

import numpy as np
import pytest
from PIL import Image

from assets.samples.render import scenes, solids
from assets.samples.render.clutter import FRONTS, things
from assets.samples.render.film import UNIT, Film, aperture_blur, develop, shaken, shrink
from assets.samples.render.noise import fbm, noise, uniform
from assets.samples.render.scenes import PICTURES, parachute
from assets.samples.render.shot import FLASH, OVERCAST, Light, Shot
from assets.samples.render.trace import Camera, Part, Scene, Surface, march, shadow, sky
from assets.samples.render.vectors import Array, length, turned, unit, vec
from engine.data.samples import load_sample

KNOTS = np.array([(-0.8, 0.1, 0.0), (0.2, 0.6, 0.3), (0.9, -0.2, -0.4)], np.float32).T
FIELDS: dict[str, Callable[[Array], Array]] = {
    "box": lambda p: solids.box(p, (0.7, 0.4, 0.5), 0.1),
    "capsule": lambda p: solids.capsule(p, (-0.5, 0.0, 0.2), (0.6, 0.3, 0.0), 0.2),
    "cylinder": lambda p: solids.cylinder(p, 1, 0.5, 0.3, 0.05),
    "torus": lambda p: solids.torus(p, 2, 0.6, 0.15),
    "path": lambda p: solids.path(p, KNOTS, 0.1),
    "arc": lambda p: solids.arc(p, (0.1, 0.0, 0.0), 0.6, 0.1, 30, 100),
}


def cloud(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-2, 2, (3, count)).astype(np.float32)


def grey(point: Array, normal: Array) -> Surface:
    return Surface(0.5 + 0 * point)


def ball_scene(bound: tuple[tuple[float, float, float], float] | None) -> Scene:
    ball = Part(lambda p: length(p - vec(0, 1, 0)) - 1, grey, bound)
    return Scene((ball,), sky(vec(1, 1, 1), vec(1, 1, 1), vec(1, 1, 1)), (0, 1, 0), vec(1, 1, 1))


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_never_changes_faster_than_the_point_moves(name: str) -> None:
    """|d(p) - d(q)| <= |p - q|, what sphere tracing stands on; 1e-5 is float32 rounding."""
    p = cloud(4000)
    q = p + 0.05 * cloud(4000, seed=1)
    gap = np.abs(FIELDS[name](p) - FIELDS[name](q)) - length(p - q)
    assert gap.max() <= 1e-5
    assert FIELDS[name](p).min() < 0 < FIELDS[name](p).max()


@pytest.mark.parametrize("bound", [None, ((0.0, 1.0, 0.0), 1.0)], ids=["free", "bounded"])
def test_a_ray_meets_a_ball_where_algebra_says(
    bound: tuple[tuple[float, float, float], float] | None,
) -> None:
    scene = ball_scene(bound)
    eye = vec(0, 1, 5)
    rays = unit(np.stack([np.linspace(-0.3, 0.3, 61), 0 * np.linspace(0, 1, 61), -np.ones(61)]))
    rays = rays.astype(np.float32)
    along = -rays[2] * 5
    square = along**2 - 24
    t = march(scene, eye, rays, 30.0)
    clear = np.abs(square) > 0.05  # leave out rays that graze the rim
    assert np.array_equal((t < 30)[clear], (square > 0)[clear])
    inside = clear & (square > 0)
    # The march stops at 6e-4 of the distance from the surface.
    assert np.abs(t - (along - np.sqrt(np.maximum(square, 0))))[inside].max() < 2e-2


def test_a_ball_casts_its_shadow_below_and_nowhere_else() -> None:
    scene = ball_scene(((0.0, 1.0, 0.0), 1.0))
    below = np.array([[0.0, 0.5, 3.0], [-0.5, -0.5, -0.5], [0.0, 0.0, 0.0]], np.float32)
    assert shadow(scene, below, vec(0, 1, 0)).round(3).tolist() == [0, 0, 1]


def test_noise_is_even_and_repeats_by_seed() -> None:
    points = cloud(20000) * 20
    values = noise(points)
    assert np.abs(values.mean()) < 0.03
    assert 0.15 < values.std() < 0.6
    assert np.abs(values).max() < 2
    assert np.array_equal(fbm(points, 3, seed=4), fbm(points, 3, seed=4))
    assert not np.array_equal(noise(points, seed=1), noise(points, seed=2))


def test_uniform_is_uniform() -> None:
    draws = uniform(np.indices((200, 200)), 3)
    counts, _ = np.histogram(draws, 10, (0, 1))
    assert np.abs(counts - 4000).max() < 250  # four standard deviations


def test_a_blur_keeps_the_light() -> None:
    light = np.zeros((3, 64, 64), np.float32)
    light[:, 32, 32] = 100
    spread = aperture_blur(light, 7 * UNIT / 64)
    streak = shaken(aperture_blur(light, 2 * UNIT / 64), 20 * UNIT / 64, 0)
    assert np.allclose(streak.sum((1, 2)), 100, rtol=1e-3)
    wide, tall = (streak[0].max(0) > 0.2).sum(), (streak[0].max(1) > 0.2).sum()
    assert 20 <= wide <= 26
    assert tall <= 6
    assert np.allclose(spread.sum((1, 2)), 100, rtol=1e-4)
    assert spread.max() < 1
    assert np.isclose(shrink(light, 4).sum(), light.sum() / 16)


def test_turning_keeps_lengths_and_comes_round() -> None:
    points = cloud(50)
    assert np.allclose(length(turned(points, 1, 37)), length(points), atol=1e-5)
    assert np.allclose(turned(turned(points, 2, 90), 2, -90), points, atol=1e-5)


def test_brighter_light_develops_brighter() -> None:
    greys = [
        develop(np.full((3, 32, 32), level, np.float32), 0, Film(grain=0))
        for level in (0.1, 0.5, 2)
    ]
    middle = [np.asarray(image)[16, 16, 0] for image in greys]
    assert middle == sorted(middle)
    assert 0 < middle[0] < middle[2] <= 255


HOME = Camera(eye=(2.0, 3.0, 7.0), target=(0.0, 1.0, 0.0), fov=35.0)


@pytest.mark.parametrize(
    "shot",
    [Shot(), Shot(turn=40, rise=20, distance=1.5, aim=(0.3, -0.2), roll=15)],
    ids=["home", "moved"],
)
def test_a_camera_sees_its_target_where_it_aims(shot: Shot) -> None:
    camera = shot.camera(HOME)
    column, row, depth = camera.project(vec(*HOME.target), 100)
    assert np.allclose(
        [column[0], row[0]], [50 + 50 * shot.aim[0], 50 - 50 * shot.aim[1]], atol=1e-3
    )
    away = np.linalg.norm(np.subtract(HOME.eye, HOME.target))
    assert np.isclose(depth[0], away * shot.distance, rtol=1e-4)
    # Rays and projection are one another's inverse.
    rays = camera.rays(5, 0, 0)
    column, row, _ = camera.project(vec(*camera.eye) + 3 * rays, 5)
    assert np.allclose(column.reshape(5, 5)[0], np.arange(5) + 0.5, atol=1e-3)
    assert np.allclose(row.reshape(5, 5)[:, 0], np.arange(5) + 0.5, atol=1e-3)


def test_a_backdrop_stays_where_it_is_when_the_camera_turns() -> None:
    x, y = HOME.beyond(HOME, 65)
    assert np.allclose([x[32, 32], y[32, 32]], 0, atol=1e-3)
    assert x[32, 0] < -0.9
    assert x[32, -1] > 0.9
    assert y[0, 32] > 0.8
    # A camera that walks to the right about its target sees what lies further left.
    turned_x, _ = Shot(turn=10).camera(HOME).beyond(HOME, 65)
    assert np.isclose(turned_x[32, 32], -10 / (35 / 2), atol=0.05)
    # The horizon is level for a camera at another height.
    _, level = Shot(rise=-10).camera(HOME).beyond(HOME, 65)
    assert np.abs(np.ptp(level[32])) < 0.1


def test_light_is_what_the_shot_says() -> None:
    scene = ball_scene(None)
    camera = Shot().camera(HOME)
    up = vec(0, 1, 0)
    overcast = Shot(light=OVERCAST).relight(scene, camera)
    assert (overcast.sun_light < 0.2 * scene.sun_light).all()
    assert (overcast.environment(up, 1.0) > scene.environment(up, 1.0)).all()
    flash = vec(*Shot(light=FLASH).relight(scene, camera).sun)
    assert (unit(flash) * unit(vec(*HOME.eye) - vec(*HOME.target))).sum() > 0.97
    west = Light(sun=(-1.0, 0.2, 0.0))
    assert Shot(light=west).relight(scene, camera).sun == west.sun


def test_hue_turns_colours_and_leaves_greys() -> None:
    red = vec(0.6, 0.1, 0.1)
    points = cloud(4)
    painted = Shot(hue=120).paint(lambda p, n: Surface(red))(points, points).albedo
    assert np.allclose(painted, vec(0.1, 0.6, 0.1), atol=1e-5)
    assert np.allclose(Shot(hue=77).paint(grey)(points, points).albedo, 0.5, atol=1e-5)


@pytest.mark.parametrize("front", FRONTS)
def test_what_hangs_before_the_lens_leaves_most_of_the_picture_free(front: str) -> None:
    layer = FRONTS[front](96, 1)
    assert layer.shape == (4, 96, 96)
    assert -1e-4 < layer[3].min() < 0.05
    assert 0.01 < layer[3].mean() < 0.45
    assert not np.array_equal(layer, FRONTS[front](96, 2))


def test_things_stand_on_the_floor_beside_the_object() -> None:
    assert things(0, 1, ((0.0, 0.0, 0.0), 1.0)) == ()
    (part,) = things(5, 1, ((0.0, 1.0, 0.0), 1.0))
    points = cloud(40000) * 1.2
    inside = points[:, part.solid(points) < 0]
    assert inside.shape[1] > 20
    assert inside[1].min() > -0.05
    assert np.hypot(inside[0], inside[2]).min() > 0.4


def test_every_scene_is_in_the_catalogue() -> None:
    used = {picture.scene.__module__.rpartition(".")[2] for picture in PICTURES}
    assert {module.name for module in iter_modules(scenes.__path__)} == used


def test_the_gallery_is_what_the_renderer_draws() -> None:
    """The cheapest scene again, small: the same bytes twice, and in mean the shipped picture.

    Blurs are parts of the picture's side, so that only grain and sampling differ; the other
    pictures of the gallery lie at least three times further off.
    """
    picture = next(each for each in PICTURES if each.scene is parachute.render)
    once, again = picture.render(64), picture.render(64)
    assert once.tobytes() == again.tobytes()

    def gap(id: str) -> float:
        shipped = load_sample(id).resize((64, 64), Image.Resampling.BOX)
        return float(np.abs(np.asarray(once).astype(int) - np.asarray(shipped)).mean())

    others = [gap(each.id) for each in PICTURES if each.scene is not parachute.render]
    assert 3 * gap(picture.id) < min(others)
