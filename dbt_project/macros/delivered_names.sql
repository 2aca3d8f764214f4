{#
  Predicate "this observation may change which name a key was delivered with last": it came with a delivery not yet taken in,
  or has a key whose name came with a delivery withdrawn since. Which deliveries are taken in stands in `build_state`.
#}
{% macro may_name(observed) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {% set deliveries = run_query(
        'select distinct contents.delivery_id from ' ~ ref('int_delivery__contents') ~ ' as contents where not exists (select 1 from '
        ~ build_state() ~ " as taken where taken.model = '" ~ model.name ~ "' and taken.part_code = contents.delivery_id::text)"
    ) %}
    {% set codes = run_query(
        'select named.territory_code from ' ~ this ~ ' as named where named.delivery_id not in (select contents.delivery_id from '
        ~ ref('int_delivery__contents') ~ ' as contents)'
    ) %}
    {% set said = [] %}
    {% if deliveries.rows %}
        {% do said.append(observed ~ '.delivery_id in (' ~ deliveries.columns[0].values() | join(', ') ~ ')') %}
    {% endif %}
    {% if codes.rows %}
        {% do said.append(observed ~ ".territory_code in ('" ~ codes.columns[0].values() | join("', '") ~ "')") %}
    {% endif %}
    {{ return(said | join(' or ') or 'false') }}
{% endmacro %}

{# Post-hook: keys no delivery uses any more go, and all deliveries there are count as taken in. #}
{% macro remember_names() %}
    delete from {{ this }}
    where delivery_id not in (select contents.delivery_id from {{ ref('int_delivery__contents') }} as contents);
    delete from {{ build_state() }} where model = '{{ model.name }}';
    insert into {{ build_state() }} (model, part_code, period_code, digest)
    select distinct '{{ model.name }}', contents.delivery_id::text, '', ''
    from {{ ref('int_delivery__contents') }} as contents
{% endmacro %}
