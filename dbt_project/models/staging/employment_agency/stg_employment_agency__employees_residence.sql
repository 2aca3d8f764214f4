{{ stage_observations(
    'employment_agency__employees_residence',
    delivered=['nationality', 'sex'],
    constants={'measure_code': 'employees_residence'},
) }}
