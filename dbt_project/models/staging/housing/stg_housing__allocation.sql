{{ stage_observations(
    'housing__allocation',
    delivered=['measure_code'],
) }}
