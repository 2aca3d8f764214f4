{{ config(materialized='incremental', incremental_strategy='replace') }}

-- The codes of this warehouse are called what the seed says, whatever an office writes beside them; an office's own codes
-- (offence keys, clubs, programmes) what the latest delivery calls them.
with delivered as (
    select distinct on (category_code)
        category_code,
        category_name
    from {{ ref('int_delivery__categories') }}
    order by category_code, category_name is null, known_from desc, delivery_id desc
),

categories as (
    select category_code from delivered
    union
    select 'total'
)

select
    {{ surrogate_key(['categories.category_code']) }} as category_key,
    categories.category_code,
    coalesce(label.label_de, delivered.category_name, categories.category_code) as category_name,
    label.label_en as category_name_en,
    categories.category_code = 'total' as is_total
from categories
left join delivered
    on categories.category_code = delivered.category_code
left join {{ ref('category_labels') }} as label
    on categories.category_code = label.category_code
