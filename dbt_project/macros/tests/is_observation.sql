{#
  The observation contract: names and types of the columns (`observation_shape`), and for deliveries not united yet the rules of
  every observation. What passes here is what the later layers rely on. Rows already taken over have passed before and are not read
  again.
#}
{% test is_observation(model) %}
{% if execute and flags.WHICH in ('build', 'test') %}
    {% set expected = [] %}
    {% for name, type in observation_shape().items() %}{% do expected.append(name ~ ' ' ~ type) %}{% endfor %}
    {% set found = [] %}
    {% for column in adapter.get_columns_in_relation(model) %}{% do found.append(column.name ~ ' ' ~ column.dtype) %}{% endfor %}
    {% if found != expected %}
        {% do exceptions.raise_compiler_error(
            model ~ ' has the columns ' ~ found | join(', ') ~ '; observations have ' ~ expected | join(', ')
        ) %}
    {% endif %}
{% endif %}
select {{ observation_columns() | join(', ') }}
from {{ model }} as observed
where
    ({{ breaks_a_rule('observed') }})
    and {{ in_waiting_deliveries('observed.delivery_id') }}
{% endtest %}
