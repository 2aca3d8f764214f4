{{ stage_observations(
    'employment_agency__municipal_workbook',
    delivered=['measure_code', 'nationality', 'sex', 'age_band', 'category'],
) }}
