{#
  Predicate "this observation may change which name a key was delivered with last": it came with a delivery not yet taken in,
  or has a key whose name came with a delivery withdrawn since. Which deliveries are taken in stands in `build_state`.
#}
{% macro may_name(observed) %}
    {% if not execute %}{{ return('true') }}{% endif %}
    {% set waiting %}
        select distinct contents.delivery_id
        from {{ ref('int_delivery__contents') }} as contents
        where
            not exists (
                select 1 from {{ build_state() }} as taken
                where taken.model = '{{ model.name }}' and taken.part_code = contents.delivery_id::text
            )
    {% endset %}
    {% set withdrawn %}
        select named.territory_code
        from {{ this }} as named
        where named.delivery_id not in (select contents.delivery_id from {{ ref('int_delivery__contents') }} as contents)
    {% endset %}
    {{ return(
        in_rows(observed ~ '.delivery_id', waiting, 500) ~ ' or ' ~ in_rows(observed ~ '.territory_code', withdrawn, 500)
    ) }}
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
