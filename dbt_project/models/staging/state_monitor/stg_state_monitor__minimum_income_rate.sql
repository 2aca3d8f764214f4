{{ stage_observations(
    'state_monitor__minimum_income_rate',
    delivered=['nationality', 'age_band'],
    constants={'measure_code': 'minimum_income_rate_published'},
) }}
