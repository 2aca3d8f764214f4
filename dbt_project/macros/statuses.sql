{#
  How a sum is marked. Each expression stands in a grouped select. A part without a value blocks the whole: the sum has no
  value, and says why in the order suppressed, not available, missing. Otherwise the weakest part counts.
#}
{% macro sum_or_blocked(value) %}
    case when bool_or({{ value }} is null) then null else sum({{ value }}) end
{%- endmacro %}

{% macro combined_obs_status(value, obs_status, conf_status) %}
    case
        when bool_or({{ value }} is null and ({{ obs_status }} = 'Q' or {{ conf_status }} <> 'F')) then 'Q'
        when bool_or({{ value }} is null and {{ obs_status }} = 'O') then 'O'
        when bool_or({{ value }} is null) then 'M'
        when bool_or({{ obs_status }} = 'E') then 'E'
        when bool_or({{ obs_status }} = 'U') then 'U'
        when bool_or({{ obs_status }} = 'P') then 'P'
        else 'A'
    end
{%- endmacro %}

{% macro combined_conf_status(conf_status) %}
    case
        when bool_or({{ conf_status }} = 'C') then 'C'
        when bool_or({{ conf_status }} = 'D') then 'D'
        else 'F'
    end
{%- endmacro %}

{# A cell that says nothing ("-" under a key that no longer counts), as opposed to one that hides something. #}
{% macro says_nothing(row) %}({{ row }}.value is null and {{ row }}.conf_status = 'F' and {{ row }}.obs_status = 'M'){% endmacro %}

{# The same for the two terms of a ratio, row by row. #}
{% macro paired_obs_status(first, second) %}
    case
        when 'Q' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'Q'
        when 'O' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'O'
        when 'M' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'M'
        when 'E' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'E'
        when 'U' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'U'
        when 'P' in ({{ first }}.obs_status, {{ second }}.obs_status) then 'P'
        else 'A'
    end
{%- endmacro %}

{% macro paired_conf_status(first, second) %}
    case
        when 'C' in ({{ first }}.conf_status, {{ second }}.conf_status) then 'C'
        when 'D' in ({{ first }}.conf_status, {{ second }}.conf_status) then 'D'
        else 'F'
    end
{%- endmacro %}
