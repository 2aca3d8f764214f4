{{ stage_observations(
    'state_statistics__naturalisations',
    delivered=['category'],
    constants={'measure_code': 'naturalisations'},
) }}
