{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='{{ analyze_if_due() }}',
    indexes=[{'columns': ['delivery_id']}, {'columns': ['measure_code', 'period_code']}],
) }}

-- Every staging model of observations, see observation_models.sql.
-- Only deliveries not yet here are read: the cost of a build does not grow with history.
-- That a file states a number once is the reader's and validation's promise; the key of fct_observation_vintage holds it.
-- depends_on: {{ ref('int_delivery__counted') }}
{{ union_new_deliveries() }}
