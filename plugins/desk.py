"""Airflow plugin: the desk ("Lieferungen") below ``/desk``, its entry in the navigation, and the gate before all routes.

Airflow runs this file in every one of its processes; only the API server ever needs the pages, so all of it is built
at the first request. Plugin routes are not protected by Airflow: every route of the desk depends on ``_account``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


@cache
def _application() -> ASGIApp:
    from teilhabe.airflow.desk import application

    return application()


async def desk(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application that Airflow mounts."""
    await _application()(scope, receive, send)


class Gate:
    """The gate, made at the first request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gate: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._gate is None:
            from teilhabe.airflow import gate

            self._gate = gate.Gate(self._app)
        await self._gate(scope, receive, send)


class DeskPlugin(AirflowPlugin):
    """Registers the desk and the gate."""

    name = "teilhabe_desk"
    fastapi_apps: list[Any] = [{"app": desk, "url_prefix": "/desk", "name": "Lieferungen"}]  # noqa: RUF012 - as Airflow declares it
    fastapi_root_middlewares: list[Any] = [{"middleware": Gate, "name": "teilhabe"}]  # noqa: RUF012 - as Airflow declares it
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "Lieferungen",
            "href": "desk/",
            "destination": "nav",
            "url_route": "lieferungen",
            "nav_top_level": True,
            "icon": "desk/static/icon.svg",
        }
    ]
