{{ stage_observations(
    'state_monitor__day_care_language',
    delivered=['category'],
    constants={'measure_code': 'day_care_share_published'},
) }}
