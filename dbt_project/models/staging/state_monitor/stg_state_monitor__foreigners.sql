{{ stage_observations('state_monitor__foreigners', constants={'measure_code': 'foreigners_register'}) }}
