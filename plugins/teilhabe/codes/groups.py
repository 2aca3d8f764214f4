"""The codes of groups and the columns of an observation."""

from __future__ import annotations

import re

NATIONALITIES = frozenset(
    {"total", "german", "foreign", "asylum8", "refugee_context", "protection_seeker", "ukrainian"}
)
SEXES = frozenset({"total", "male", "female", "diverse"})
AGE_BAND = re.compile(r"total|u\d{1,2}|\d{1,2}_\d{1,2}|\d{1,2}plus")
GROUP_COLUMNS = ("nationality", "sex", "age_band", "category")
"""Breakdowns: a cell that names none of them is the total."""

OBSERVATION_COLUMNS = ("territory_code", "territory_name", "period_code", "value", "obs_status", "conf_status")
"""What every observation-shaped dataset has; the others only where the file varies in them."""
