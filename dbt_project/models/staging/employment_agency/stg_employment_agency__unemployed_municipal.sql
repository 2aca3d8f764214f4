{{ stage_observations(
    'employment_agency__unemployed_municipal',
    delivered=['measure_code', 'nationality', 'age_band', 'category'],
    defaults={'measure_code': 'unemployed'},
) }}
