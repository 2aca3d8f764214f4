{{ stage_observations(
    'civic__volunteers',
    delivered=['measure_code', 'nationality', 'category'],
) }}
