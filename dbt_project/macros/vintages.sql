{#
  Knowledge has a beginning and an end: a row holds from `known_from` until `known_until` (null: it still does). A number made
  of several cells is computed once for each moment at which one of them changed.
#}

{# Predicate: the row holds at this moment. #}
{% macro holds_at(row, moment) -%}
    {{ row }}.known_from <= {{ moment }} and ({{ row }}.known_until is null or {{ row }}.known_until > {{ moment }})
{%- endmacro %}

{# Predicate: there is a moment at which both rows hold. #}
{% macro hold_together(first, second) -%}
    ({{ second }}.known_until is null or {{ first }}.known_from < {{ second }}.known_until)
    and ({{ first }}.known_until is null or {{ second }}.known_from < {{ first }}.known_until)
{%- endmacro %}

{# Query of (measure, period, dataset): where there is a choice - several deliveries spoke, or one that no longer counts. #}
{% macro contested_contents() %}
    select
        measure_code,
        period_code,
        dataset_id
    from {{ ref('int_delivery__contents') }}
    group by measure_code, period_code, dataset_id
    having count(*) > 1 or bool_or(known_until is not null)
{% endmacro %}

{#
  SQL expression (multirange): when this row holds - while its delivery counts (`counts`, a range) and no later one among those of
  the same `of` does. Later is what was received later; of the same moment, what was handed in last.
#}
{% macro holds_alone(counts, of) -%}
    tstzmultirange({{ counts }}) - coalesce(
        range_agg({{ counts }}) over (
            partition by {{ of | join(', ') }}
            order by known_from desc, delivery_id desc
            rows between unbounded preceding and 1 preceding
        ),
        '{}'::tstzmultirange
    )
{%- endmacro %}

{# Join: the moments of the row's dataset at which it holds. #}
{% macro at_vintages(row) -%}
    inner join {{ ref('int_delivery__vintages') }} as vintage
        on
            {{ row }}.measure_code = vintage.measure_code
            and {{ row }}.period_code = vintage.period_code
            and {{ row }}.dataset_id = vintage.dataset_id
            and {{ holds_at(row, 'vintage.known_from') }}
{%- endmacro %}

{#
  Relation that tells, without reading millions of observations, which deliveries a table holds. int_delivery__contents is
  written after the observations it counts: what it does not list yet is read once more, and replaced.
#}
{% macro held_deliveries() %}
    {% if this.identifier == 'int_observation__unioned' %}
        {% set contents = api.Relation.create(
            database=this.database, schema=this.schema, identifier='int_delivery__contents'
        ) %}
        {% if execute and load_relation(contents) %}{{ return(contents) }}{% endif %}
    {% endif %}
    {{ return(this) }}
{% endmacro %}

{# Predicate: the delivery is not among the united observations yet; written out, so that an index serves it. #}
{% macro in_waiting_deliveries(column) %}
    {% set contents = api.Relation.create(
        database=target.database, schema='intermediate', identifier='int_delivery__contents'
    ) %}
    {% if not execute or not load_relation(contents) %}{{ return('true') }}{% endif %}
    {% set query %}
        select delivery.delivery_id
        from {{ source('ops', 'delivery') }} as delivery
        where
            delivery.state = 'loaded'
            and not exists (select 1 from {{ contents }} as held where held.delivery_id = delivery.delivery_id)
    {% endset %}
    {{ return(in_rows(column, query, 10000)) }}
{% endmacro %}

{# Predicate: the delivery's turn has come; a build takes in what is more than memory can bear in several passes. #}
{% macro has_its_turn(delivery_id) -%}
    {{ delivery_id ~ ' <= ' ~ env_var('TEILHABE_TAKEN_IN_UNTIL') if env_var('TEILHABE_TAKEN_IN_UNTIL', '') else 'true' }}
{%- endmacro %}

{# Query of (delivery_id, dataset_id): deliveries that count or did and that this table does not hold yet. #}
{% macro waiting_deliveries() %}
    select
        counted.delivery_id,
        counted.dataset_id
    from {{ ref('int_delivery__counted') }} as counted
    where
        {{ has_its_turn('counted.delivery_id') }}
        and not exists (select 1 from {{ held_deliveries() }} as held where held.delivery_id = counted.delivery_id)
{% endmacro %}

{#
  Post-hook: new statistics where the planner has none yet, or the table is so small that they cost nothing. Sampling a table of
  millions after each delivery costs more than the delivery; autovacuum does it when enough has changed.
#}
{% macro analyze_if_due() %}
    do $$
    begin
        if (select reltuples < 200000 from pg_class where oid = '{{ this }}'::regclass) then
            analyze {{ this }};
        end if;
    end
    $$
{% endmacro %}

{#
  Query: rows of a relation of (key, values, known_from, known_until) with neighbours in time that say the same made one. Where
  the next row brings news, the last of the same ended (`previous_until`).
#}
{% macro merge_equal_neighbours(relation, key, values) %}
    select
        {% for column in key + values %}
        {{ column }},
        {% endfor %}
        known_from,
        case
            when lead(known_from) over following is null then last_until
            else lead(previous_until) over following
        end as known_until
    from (
        select
            {{ relation }}.*,
            lag(known_until) over following as previous_until,
            last_value(known_until) over (
                following rows between unbounded preceding and unbounded following
            ) as last_until,
            coalesce(
                lag(known_until) over following is distinct from known_from
                {% for column in values %}
                or lag({{ column }}) over following is distinct from {{ column }}
                {% endfor %},
                true
            ) as is_news
        from {{ relation }}
        window following as (partition by {{ key | join(', ') }} order by known_from)
    ) as compared
    where is_news
    window following as (partition by {{ key | join(', ') }} order by known_from)
{% endmacro %}

{#
  Pre-hook: only hash joins in this statement. The planner cannot know how many rows meet in several columns at once, guesses
  one, and would compare every row with every other.
#}
{% macro join_by_hashing() %}
    set local enable_nestloop = off; set local enable_mergejoin = off; set local work_mem = '128MB'
{% endmacro %}
