{{ stage_observations('state_statistics__population', delivered=['sex'], constants={'measure_code': 'population'}) }}
