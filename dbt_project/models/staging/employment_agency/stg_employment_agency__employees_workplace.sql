{{ stage_observations(
    'employment_agency__employees_workplace',
    delivered=['nationality', 'sex'],
    constants={'measure_code': 'employees_workplace'},
) }}
