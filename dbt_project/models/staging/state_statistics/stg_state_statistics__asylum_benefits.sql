{{ stage_observations(
    'state_statistics__asylum_benefits',
    delivered=['sex', 'age_band', 'category'],
    constants={'measure_code': 'asylum_benefit_recipients'},
) }}
