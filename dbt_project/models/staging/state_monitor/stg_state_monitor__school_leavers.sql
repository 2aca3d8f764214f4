{{ stage_observations('state_monitor__school_leavers', delivered=['measure_code', 'nationality', 'category']) }}
