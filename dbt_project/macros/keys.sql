{#
  SQL expression: the surrogate key of these codes. Made from the codes alone, so that a partial build, a full one and another
  warehouse give the same key, and no sequence is a bottleneck on a distributed server. 60 bits keep it positive.
#}
{% macro surrogate_key(codes) -%}
    ('x' || left(md5(concat_ws('|', {{ codes | join(', ') }})), 15))::bit(60)::bigint
{%- endmacro %}
