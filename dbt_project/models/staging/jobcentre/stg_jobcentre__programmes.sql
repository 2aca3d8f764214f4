{{ stage_observations(
    'jobcentre__programmes',
    delivered=['measure_code', 'nationality', 'category', 'category_name'],
) }}
