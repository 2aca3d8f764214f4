{{ stage_observations(
    'state_statistics__school_leavers',
    delivered=['sex', 'category'],
    constants={'measure_code': 'school_leavers'},
) }}
