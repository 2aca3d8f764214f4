{{ stage_observations('state_statistics__migration', delivered=['measure_code', 'sex', 'age_band']) }}
