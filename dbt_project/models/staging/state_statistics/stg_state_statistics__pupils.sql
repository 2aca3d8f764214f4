{{ stage_observations(
    'state_statistics__pupils',
    delivered=['measure_code', 'nationality', 'sex', 'category', 'category_name'],
) }}
