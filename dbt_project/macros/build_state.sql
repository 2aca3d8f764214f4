{#
  Which partitions of a table are out of date - known without reading the table.

  A partition is one (part, period): a measure, or an indicator in one version, and a period. A table remembers in
  `build_state`, in the transaction that writes it, from which deliveries and rules each partition was made. Where the
  digest it should be made from differs - a delivery came or was withdrawn, a seed row or the model's text changed - the
  partition is stale, is deleted and written again. So a build costs what changed, not what has been collected.

  `build_state` is unlogged like the intermediate tables: after a crash of the server all are empty together and the next
  build fills them again. Names of the rules a table depends on stand in its config as `meta.rules`.
#}
{% macro build_state() %}{{ return('intermediate.build_state') }}{% endmacro %}

{% macro create_build_state() %}
    {% if execute and flags.WHICH in ('build', 'run') %}
        create unlogged table if not exists {{ build_state() }} (
            model text not null,
            part_code text not null,
            period_code text not null,
            digest text not null,
            primary key (model, part_code, period_code)
        )
    {% else %}
        select 1
    {% endif %}
{% endmacro %}

{# Query of (part_code, period_code, digest): what this model's partitions should be made from. #}
{% macro wanted_partitions() %}
    {% set partition = (config.get('meta') or {}).get('partition') %}
    {% if partition == 'indicator' %}{{ return(wanted_indicator_partitions()) }}{% endif %}
    {% if partition == 'comparison' %}{{ return(wanted_comparison_partitions()) }}{% endif %}
    select
        contents.measure_code as part_code,
        contents.period_code,
        md5(
            {{ rules_digest() }}
            || string_agg({{ counted_delivery('contents') }}, ',' order by contents.delivery_id)
            {%- if depends_on_territory() %}
            || coalesce(min(territory.digest), '')
            {%- endif %}
        ) as digest
    from {{ ref('int_delivery__contents') }} as contents
    {%- if depends_on_territory() %}
    left join {{ ref('int_rule__digest') }} as territory
        on
            territory.rule_code = 'territory'
            and contents.measure_code = territory.measure_code
            and contents.period_code = territory.period_code
            and contents.period_code = territory.for_period_code
    {%- endif %}
    group by contents.measure_code, contents.period_code
{% endmacro %}

{# Whether what is known of territories decides the model's results: each of its partitions has a fingerprint of its own of it. #}
{% macro depends_on_territory() %}
    {{ return('territory' in (config.get('meta') or {}).get('rules', [])) }}
{% endmacro %}

{# SQL expression: a delivery as digests name it; another one once it no longer counts. #}
{% macro counted_delivery(contents) -%}
    concat_ws(' until ', {{ contents }}.delivery_id, extract(epoch from {{ contents }}.known_until))
{%- endmacro %}

{# SQL expression: fingerprint of the code (code_digest.sql) and of the rules the model names that concern all partitions alike. #}
{% macro rules_digest() %}
    (select code.digest from {{ model_code() }} as code where code.model = '{{ model.name }}')
    {%- for rule in (config.get('meta') or {}).get('rules', []) if rule != 'territory' %}
    || (select rule.digest from {{ ref('int_rule__digest') }} as rule where rule.rule_code = '{{ rule }}')
    {%- endfor %}
{% endmacro %}

{% macro stale_partitions() %}
    select
        coalesce(wanted.part_code, built.part_code) as part_code,
        coalesce(wanted.period_code, built.period_code) as period_code
    from ({{ wanted_partitions() }}) as wanted
    full outer join (
        select * from {{ build_state() }}
        where model = '{{ model.name }}'{% if flags.FULL_REFRESH %} and false{% endif %}
    ) as built
        on wanted.part_code = built.part_code and wanted.period_code = built.period_code
    where wanted.digest is distinct from built.digest
{% endmacro %}

{#
  Predicate "this row belongs to a stale partition". A short list is written out, because a planner that sees the values
  takes the index; a long one stays a subquery. Published facts carry keys instead of codes: `keyed`.
#}
{% macro in_stale(part, period, keyed=false) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {% set query = stale_partitions() %}
    {% if keyed %}
        {% set query %}
            select
                {{ surrogate_key(['stale.part_code']) }} as part_key,
                {{ surrogate_key(['stale.period_code']) }} as period_key
            from ({{ stale_partitions() }}) as stale
        {% endset %}
    {% endif %}
    {{ return(in_rows(part ~ ', ' ~ period, query, 200)) }}
{% endmacro %}

{# Predicate: the columns are one of the rows of the query; written out where there are few. #}
{% macro in_rows(columns, query, few) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {% set found = run_query(query).rows %}
    {% if found | length == 0 %}{{ return('false') }}{% endif %}
    {% if found | length > few %}{{ return('(' ~ columns ~ ') in (' ~ query ~ ')') }}{% endif %}
    {% set listed = [] %}
    {% for row in found %}
        {% set values = [] %}
        {% for value in row.values() %}
            {% do values.append(value | string if value is number else "'" ~ value | replace("'", "''") ~ "'") %}
        {% endfor %}
        {% do listed.append('(' ~ values | join(', ') ~ ')') %}
    {% endfor %}
    {{ return('(' ~ columns ~ ') in (' ~ listed | join(', ') ~ ')') }}
{% endmacro %}

{# Post-hook, in the transaction that wrote the table: remember what it was made from. #}
{% macro remember_partitions() %}
    delete from {{ build_state() }} where model = '{{ model.name }}';
    insert into {{ build_state() }} (model, part_code, period_code, digest)
    select '{{ model.name }}', wanted.part_code, wanted.period_code, wanted.digest
    from ({{ wanted_partitions() }}) as wanted
{% endmacro %}
