{{ stage_observations(
    'state_statistics__population_nationality',
    delivered=['nationality', 'sex', 'age_band'],
    constants={'measure_code': 'population'},
) }}
