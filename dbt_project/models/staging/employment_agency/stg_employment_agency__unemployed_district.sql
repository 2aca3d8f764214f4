{{ stage_observations(
    'employment_agency__unemployed_district',
    delivered=['measure_code', 'nationality', 'sex', 'age_band', 'category'],
) }}
