{#
  The observation contract, for deliveries not united yet: what passes here is what the later layers rely on. Rows already
  taken over have passed before and are not read again.
#}
{% test is_observation(model) %}
select {{ observation_columns() | join(', ') }}
from {{ model }} as observed
where
    ({{ breaks_a_rule('observed') }})
    and {{ in_waiting_deliveries('observed.delivery_id') }}
{% endtest %}
