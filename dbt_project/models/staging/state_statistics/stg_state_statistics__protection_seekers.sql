{{ stage_observations(
    'state_statistics__protection_seekers',
    delivered=['sex', 'category'],
    constants={'measure_code': 'foreigners_register', 'nationality': 'protection_seeker'},
) }}
