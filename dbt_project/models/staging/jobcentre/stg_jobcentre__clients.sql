{{ stage_observations(
    'jobcentre__clients',
    delivered=['measure_code', 'nationality', 'category'],
) }}
