{{ stage_observations(
    'civic__social_work',
    delivered=['measure_code', 'category'],
) }}
