{#
  What was known at a moment: the same columns as fct_observation, as delivered. Written so that PostgreSQL inlines it: a
  condition on territory or measure reaches the index.
#}
{% macro create_observation_as_of() %}
    create or replace function {{ this.schema }}.observation_as_of(as_of timestamptz)
    returns table (
        measure_code text, territory_code text, period_code text, nationality text, sex text, age_band text, category text,
        value numeric, obs_status text, conf_status text, territorial_method text, is_derived boolean,
        dataset_id text, delivery_id bigint, row_number integer, column_number integer, known_from timestamptz,
        category_name text
    )
    language sql stable security invoker parallel safe
    as $function$
        select distinct on (
            v.measure_code, v.territory_code, v.period_code, v.nationality, v.sex, v.age_band, v.category
        )
            v.measure_code, v.territory_code, v.period_code, v.nationality, v.sex, v.age_band, v.category,
            v.value, v.obs_status, v.conf_status, 'as_delivered', false,
            v.dataset_id, v.delivery_id, v.row_number, v.column_number, v.known_from, v.category_name
        from {{ this }} as v
        left join {{ ref('dim_measure_source') }} as s
            on v.measure_code = s.measure_code and v.dataset_id = s.dataset_id
        where v.known_from <= as_of
        order by
            v.measure_code, v.territory_code, v.period_code, v.nationality, v.sex, v.age_band, v.category,
            coalesce(s.priority, 100), v.dataset_id, v.known_from desc, v.delivery_id desc
    $function$;
    comment on function {{ this.schema }}.observation_as_of(timestamptz) is
        'Observations as delivered, as known at the given moment. Beobachtungen wie geliefert, Wissensstand des Zeitpunkts.';
    revoke all on function {{ this.schema }}.observation_as_of(timestamptz) from public;
    grant execute on function {{ this.schema }}.observation_as_of(timestamptz) to teilhabe_analyst
{% endmacro %}
