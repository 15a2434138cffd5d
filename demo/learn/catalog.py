"""All lessons, in the order of a course."""

from __future__ import annotations

from demo.learn.lesson import Lesson
from demo.learn.lessons import armour, fooled, masked, outliers, travel, waking

LESSONS: tuple[Lesson, ...] = (
    fooled.LESSON,
    travel.LESSON,
    masked.LESSON,
    waking.LESSON,
    outliers.LESSON,
    armour.LESSON,
)
BY_NAME: dict[str, Lesson] = {each.name: each for each in LESSONS}
