{{ stage_observations('state_statistics__day_care', delivered=['measure_code', 'category']) }}
