{{ stage_observations(
    'housing__accommodation',
    delivered=['measure_code', 'category'],
) }}
