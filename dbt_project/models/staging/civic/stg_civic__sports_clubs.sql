{{ stage_observations(
    'civic__sports_clubs',
    delivered=['sex', 'age_band', 'category', 'category_name'],
    constants={'measure_code': 'club_memberships'},
    expressions={'category': "'club_' || delivered.category"},
) }}
