"""The doors are tried in the small world of the serving tests."""

from tests.serving.conftest import small_world  # noqa: F401  a fixture
