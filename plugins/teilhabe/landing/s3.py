"""Files from an S3-style object store."""

from __future__ import annotations

from typing import Any

from teilhabe.landing.base import Credentials


def s3_options(credentials: Credentials, endpoint_url: str | None = None) -> dict[str, Any]:
    """Options for s3fs. Without a login the usual AWS variables and instance roles apply."""
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if credentials.login:
        options |= {"key": credentials.login, "secret": credentials.password}
    elif credentials.flag("anon"):
        options["anon"] = True
    endpoint = endpoint_url or credentials.extra.get("endpoint_url")
    if endpoint:
        options["endpoint_url"] = endpoint
    if region := credentials.extra.get("region_name"):
        options["client_kwargs"] = {"region_name": region}
    return options
