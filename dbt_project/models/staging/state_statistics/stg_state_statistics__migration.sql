{{ stage_observations(
    'state_statistics__migration',
    delivered=['measure_code', 'nationality', 'sex', 'age_band'],
    defaults={'nationality': 'total'},
) }}
