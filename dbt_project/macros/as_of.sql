{#
  What was known at a moment, on one territorial basis. Written so that PostgreSQL inlines it: a condition on territory, measure
  or indicator reaches the index. One function per type of moment: what a person writes in quotes comes as text.
#}
{% macro as_of_arguments() %}
    {{ return({'timestamptz': 'as_of', 'date': end_of_day('as_of'), 'text': moment_of('as_of')}) }}
{% endmacro %}

{% macro create_observation_as_of() %}
    {% set schema = this.schema %}
    {% for type, moment in as_of_arguments().items() %}
    create or replace function {{ schema }}.observation_as_of(as_of {{ type }}, basis text default 'as_delivered')
    returns table (
        measure_code text, territory_code text, period_code text, nationality text, sex text, age_band text, category text,
        value numeric, obs_status text, conf_status text, territorial_method text, is_derived boolean,
        dataset_id text, delivery_id bigint, row_number integer, column_number integer, known_from timestamptz,
        category_name text
    )
    language sql stable security invoker parallel safe
    as $function$
        select
            m.measure_code, t.territory_code, p.period_code, g.nationality, g.sex, g.age_band, c.category_code,
            v.value, v.obs_status, v.conf_status, v.territorial_method, v.is_derived,
            d.dataset_id, v.delivery_id, v.row_number, v.column_number, v.known_from, c.category_name
        from {{ schema }}.fct_observation_vintage as v
        left join {{ schema }}.dim_measure as m on v.measure_key = m.measure_key
        left join {{ schema }}.dim_territory as t on v.territory_key = t.territory_key
        left join {{ schema }}.dim_period as p on v.period_key = p.period_key
        left join {{ schema }}.dim_population_group as g on v.population_group_key = g.population_group_key
        left join {{ schema }}.dim_category as c on v.category_key = c.category_key
        left join {{ schema }}.dim_dataset as d on v.dataset_key = d.dataset_key
        where
            v.known_from <= {{ moment }} and (v.known_until is null or v.known_until > {{ moment }})
            and v.territorial_basis in ('both', basis)
    $function$;
    comment on function {{ schema }}.observation_as_of({{ type }}, text) is
        'Observations as known at the given moment, on a day: at its end in the county. | Beobachtungen mit dem Wissensstand des Zeitpunkts, an einem Tag: an dessen Ende im Landkreis.';
    {% endfor %}
{% endmacro %}

{% macro create_indicator_as_of() %}
    {% set schema = this.schema %}
    {% for type, moment in as_of_arguments().items() %}
    create or replace function {{ schema }}.indicator_as_of(as_of {{ type }}, basis text default 'as_delivered')
    returns table (
        indicator_code text, definition_version integer, is_default boolean, territory_code text, period_code text,
        nationality text, sex text, age_band text, category text, value numeric, numerator numeric, denominator numeric,
        obs_status text, conf_status text, territorial_method text, numerator_delivery_id bigint,
        denominator_delivery_id bigint, known_from timestamptz
    )
    language sql stable security invoker parallel safe
    as $function$
        select
            i.indicator_code, i.definition_version, i.is_default, t.territory_code, p.period_code,
            g.nationality, g.sex, g.age_band, c.category_code, v.value, v.numerator, v.denominator,
            v.obs_status, v.conf_status, v.territorial_method, v.numerator_delivery_id,
            v.denominator_delivery_id, v.known_from
        from {{ schema }}.fct_indicator_vintage as v
        left join {{ schema }}.dim_indicator as i on v.indicator_key = i.indicator_key
        left join {{ schema }}.dim_territory as t on v.territory_key = t.territory_key
        left join {{ schema }}.dim_period as p on v.period_key = p.period_key
        left join {{ schema }}.dim_population_group as g on v.population_group_key = g.population_group_key
        left join {{ schema }}.dim_category as c on v.category_key = c.category_key
        where
            v.known_from <= {{ moment }} and (v.known_until is null or v.known_until > {{ moment }})
            and v.territorial_basis in ('both', basis)
    $function$;
    comment on function {{ schema }}.indicator_as_of({{ type }}, text) is
        'Indicators as known at the given moment, on a day: at its end in the county. | Indikatoren mit dem Wissensstand des Zeitpunkts, an einem Tag: an dessen Ende im Landkreis.';
    {% endfor %}
{% endmacro %}
