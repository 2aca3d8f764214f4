"""How the warehouse carries twenty years of all of Germany, beside tables that are computed anew each time."""
