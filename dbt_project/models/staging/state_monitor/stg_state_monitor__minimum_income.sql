{{ stage_observations('state_monitor__minimum_income', delivered=['measure_code', 'nationality']) }}
