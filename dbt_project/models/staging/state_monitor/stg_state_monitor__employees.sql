{{ stage_observations('state_monitor__employees', delivered=['measure_code', 'nationality', 'sex', 'category']) }}
