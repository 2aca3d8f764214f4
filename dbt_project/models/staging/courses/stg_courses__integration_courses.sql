{{ stage_observations(
    'courses__integration_courses',
    delivered=['measure_code', 'category'],
) }}
