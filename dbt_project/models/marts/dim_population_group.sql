{{ config(materialized='incremental', incremental_strategy='replace') }}

-- All groups a number can be about: those delivered, the wide age bands one of their bands is part of, and each of these with
-- any coordinate set to the total, because sums over a coordinate and headline figures of indicators stand there.
{% set coordinates = ['nationality', 'sex', 'age_band'] %}
with delivered as (
    select distinct
        nationality,
        sex,
        age_band
    from {{ ref('int_delivery__groups') }}
),

banded as (
    select
        nationality,
        sex,
        age_band
    from delivered
    union
    select
        delivered.nationality,
        delivered.sex,
        wide.age_band
    from delivered
    inner join {{ ref('age_band_members') }} as wide
        on delivered.age_band = wide.member
),

groups as (
    select distinct
        {% for coordinate in coordinates %}
        {{ coordinate }}.code as {{ coordinate }}{{ ',' if not loop.last }}
        {% endfor %}
    from (
        select * from banded
        union all
        select 'total', 'total', 'total'
    ) as known
    {% for coordinate in coordinates %}
    cross join lateral (values (known.{{ coordinate }}), ('total')) as {{ coordinate }} (code)
    {% endfor %}
)

select
    {{ surrogate_key(['groups.nationality', 'groups.sex', 'groups.age_band']) }} as population_group_key,
    {% for coordinate in coordinates %}
    groups.{{ coordinate }},
    {% endfor %}
    {% for coordinate in coordinates %}
    {% for language in ['de', 'en'] %}
    coalesce({{ coordinate }}_label.label_{{ language }}, groups.{{ coordinate }})
        as {{ coordinate }}_name_{{ language }},
    {% endfor %}
    {% endfor %}
    {% for language in ['de', 'en'] %}
    coalesce(
        nullif(concat_ws(', ',
            {% for coordinate in coordinates %}
            case
                when groups.{{ coordinate }} <> 'total'
                    then coalesce({{ coordinate }}_label.label_{{ language }}, groups.{{ coordinate }})
            end{{ ',' if not loop.last }}
            {% endfor %}
        ), ''),
        nationality_label.label_{{ language }},
        'total'
    ) as population_group_name_{{ language }},
    {% endfor %}
    case
        when groups.age_band ~ '^u\d+$' then 0
        else substring(groups.age_band from '^(\d+)(?:_|plus)')::integer
    end as age_from,
    case
        when groups.age_band ~ '^u\d+$' then substring(groups.age_band from '\d+')::integer - 1
        else substring(groups.age_band from '_(\d+)$')::integer
    end as age_to,
    (groups.nationality, groups.sex, groups.age_band) = ('total', 'total', 'total') as is_total
from groups
{% for coordinate in coordinates %}
left join lateral (
    select
        {% for language in ['de', 'en'] %}
        regexp_replace(groups.{{ coordinate }}, '^' || label.pattern || '$', label.label_{{ language }})
            as label_{{ language }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('group_labels') }} as label
    where label.coordinate = '{{ coordinate }}' and groups.{{ coordinate }} ~ ('^' || label.pattern || '$')
    order by label.priority
    limit 1
) as {{ coordinate }}_label on true
{% endfor %}
