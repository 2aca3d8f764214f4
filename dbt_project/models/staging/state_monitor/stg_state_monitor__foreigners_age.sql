{{ stage_observations(
    'state_monitor__foreigners_age',
    delivered=['age_band'],
    constants={'measure_code': 'foreigners_register'},
) }}
