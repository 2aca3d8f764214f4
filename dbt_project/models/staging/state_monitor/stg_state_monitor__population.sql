{{ stage_observations('state_monitor__population', constants={'measure_code': 'population'}) }}
