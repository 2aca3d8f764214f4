{{ stage_observations('state_monitor__day_care_origin', delivered=['measure_code', 'age_band', 'category']) }}
