"""Airflow's own accounts, with sessions that end when the password of their account changes.

A session is a signed token. Airflow ends it when it is a day old, when its holder signs out or when the account is disabled; nothing
in it says with which password its holder signed in. Here each token carries a mark of that password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

from teilhabe.airflow.client import PASSWORD_MARK, password_mark

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.models import User


class AuthManager(FabAuthManager):
    """The one the configuration names as ``core.auth_manager``."""

    def serialize_user(self, user: User) -> dict[str, Any]:
        return {**super().serialize_user(user), PASSWORD_MARK: _mark(user)}

    def deserialize_user(self, token: dict[str, Any]) -> User:  # type: ignore[override]  # there it has a cache around it
        user = super().deserialize_user(token)
        if not _is_valid(token, user):
            # Airflow remembers accounts for half a minute: this may be the account before its password changed.
            self.cache.pop(int(token["sub"]), None)
            user = super().deserialize_user(token)
        if not _is_valid(token, user):
            raise ValueError(f"The password of the user with id {token['sub']} has changed since the token was made")
        return user


def _is_valid(token: dict[str, Any], user: User) -> bool:
    return bool(token.get(PASSWORD_MARK) == _mark(user))


def _mark(user: User) -> str:
    return password_mark(getattr(user, "password", None))
