{{ stage_observations(
    'state_statistics__dwellings',
    delivered=['category'],
    constants={'measure_code': 'dwellings'},
) }}
