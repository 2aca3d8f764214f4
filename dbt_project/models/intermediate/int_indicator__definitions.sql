{{ config(materialized='table', unlogged=true, post_hook='analyze {{ this }}') }}

-- What of the catalogue decides results and how they are read: no words, so that a better wording leaves every result as it is.
select
    definition.indicator_code,
    definition.definition_version,
    definition.is_default,
    indicator.field_code,
    indicator.catalogue_set,
    indicator.direction,
    indicator.frequency,
    definition.framework_code,
    definition.valid_from,
    definition.valid_to,
    definition.unit_de,
    definition.unit_en,
    definition.multiplier,
    definition.aggregation,
    definition.aggregation <> 'as_delivered' as is_summable,
    definition.is_proportion,
    definition.headline_category
from {{ ref('indicator_definitions') }} as definition
inner join {{ ref('indicators') }} as indicator
    on definition.indicator_code = indicator.indicator_code
