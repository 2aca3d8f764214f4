{{ stage_observations(
    'recognition__qualifications',
    delivered=['measure_code', 'category'],
) }}
