{{ stage_observations('state_monitor__naturalisations', constants={'measure_code': 'naturalisations'}) }}
