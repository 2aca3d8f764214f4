{{ config(materialized='incremental', incremental_strategy='replace') }}
select distinct {{ surrogate_key(['dataset_id']) }} as dataset_key, dataset_id, split_part(dataset_id, '__', 1) as agency_code from {{ source('ops', 'delivery') }}
