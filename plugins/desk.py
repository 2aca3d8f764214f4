"""Airflow plugin: the desk ("Lieferungen") below ``/desk`` and its entry in the navigation.

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


class DeskPlugin(AirflowPlugin):
    """Registers the desk."""

    name = "teilhabe_desk"
    fastapi_apps: list[Any] = [{"app": desk, "url_prefix": "/desk", "name": "Lieferungen"}]  # noqa: RUF012 - as Airflow declares it
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
