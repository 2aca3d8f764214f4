{{ stage_observations(
    'employment_agency__apprenticeship_market',
    delivered=['measure_code', 'nationality'],
) }}
