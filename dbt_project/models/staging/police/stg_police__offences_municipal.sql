{{ stage_observations(
    'police__offences_municipal',
    delivered=['measure_code', 'nationality', 'category', 'category_name'],
) }}
