{{ stage_observations(
    'police__offences_district',
    delivered=['measure_code', 'nationality', 'sex', 'category', 'category_name'],
) }}
