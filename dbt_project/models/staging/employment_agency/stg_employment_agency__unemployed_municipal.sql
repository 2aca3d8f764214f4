{{ stage_observations(
    'employment_agency__unemployed_municipal',
    delivered=['nationality', 'age_band', 'category'],
    constants={'measure_code': 'unemployed'},
) }}
