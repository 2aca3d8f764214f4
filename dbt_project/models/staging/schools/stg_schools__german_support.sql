{{ stage_observations(
    'schools__german_support',
    delivered=['measure_code', 'nationality', 'category'],
) }}
