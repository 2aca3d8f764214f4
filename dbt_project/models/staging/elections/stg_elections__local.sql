{{ stage_observations(
    'elections__local',
    delivered=['measure_code', 'sex', 'category'],
) }}
