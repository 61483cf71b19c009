"""The pytest plugin: registers the fixtures when there is pytest-asyncio to run them.

pytest loads it in every run of everybody who has the engine installed, so it imports nothing.
"""

from typing import Any


def pytest_configure(config: Any) -> None:  # noqa: ANN401 pytest is no dependency of the engine
    """Add the fixtures `engine`, `user` and `clock`."""
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.import_plugin("utd_engine.testing._fixtures")
