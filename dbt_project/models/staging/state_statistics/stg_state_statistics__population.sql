{{ stage_observations(
    'state_statistics__population',
    delivered=['nationality', 'sex', 'age_band'],
    constants={'measure_code': 'population'},
    defaults={'nationality': 'total', 'age_band': 'total'},
) }}
