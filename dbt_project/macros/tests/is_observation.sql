{#
  The observation contract, for deliveries not united yet: what passes here is what the later layers rely on. Rows already
  taken over have passed before and are not read again.
#}
{% test is_observation(model) %}
select {{ observation_columns() | join(', ') }}
from {{ model }} as observed
where
    (
        measure_code is null
        or not (territory_code = 'DG' or territory_code ~ '^[0-9]{2,9}$')
        or not (period_code ~ '^([0-9]{4}(-(H[12]|Q[1-4]|[0-9]{2}(-[0-9]{2})?))?|(SY|AY|WH|SH)[0-9]{4})$')
        or territory_code is null or period_code is null or nationality is null or sex is null or age_band is null
        or category is null or obs_status is null or conf_status is null
        or obs_status not in ('A', 'P', 'E', 'U', 'Q', 'O', 'M')
        or conf_status not in ('F', 'C', 'D')
        -- a number that is secret or missing has no value, and one that has none says why
        or (value is null and conf_status = 'F' and obs_status not in ('Q', 'O', 'M'))
        or (value is not null and (conf_status <> 'F' or obs_status in ('Q', 'M')))
    )
    and {{ in_waiting_deliveries('observed.delivery_id') }}
{% endtest %}
