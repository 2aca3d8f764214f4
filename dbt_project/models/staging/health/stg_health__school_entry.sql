{{ stage_observations(
    'health__school_entry',
    delivered=['measure_code', 'sex', 'category'],
) }}
