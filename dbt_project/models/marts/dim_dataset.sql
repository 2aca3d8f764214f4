{{ config(materialized='incremental', incremental_strategy='replace') }}

select
    {{ surrogate_key(['known.dataset_id']) }} as dataset_key,
    known.dataset_id,
    {{ surrogate_key(['known.agency_code']) }} as agency_key,
    known.agency_code,
    coalesce(contract.title_de, known.dataset_id) as dataset_name,
    coalesce(contract.office_name, known.agency_code) as office_name,
    contract.purpose_en,
    contract.limitations_en,
    contract.licence,
    contract.licence_url,
    contract.attribution,
    contract.frequency,
    contract.reference,
    contract.first_period_code,
    contract.lag_days,
    contract.grace_days,
    contract.secrecy_method,
    contract.number_deviation,
    contract.symbol_regime,
    array_to_string(contract.territory_levels, ', ') as territory_levels,
    array_to_string(contract.layouts, '; ') as layouts,
    contract.contract_version,
    contract.contract_status,
    coalesce(contract.is_active, false) as is_active
from {{ ref('int_dataset__known') }} as known
left join {{ source('ops', 'dataset') }} as contract
    on known.dataset_id = contract.dataset_id
