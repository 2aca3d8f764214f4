{{ config(
    materialized='incremental',
    incremental_strategy='replace_deliveries',
    unique_key='delivery_id',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['delivery_id']}, {'columns': ['measure_code', 'period_code']}],
) }}

-- Only deliveries not yet here are read: the cost of a build does not grow with history.
-- That a file states a number once is the reader's and validation's promise; the key of fct_observation_vintage holds it.
{% set models = [
    'stg_employment_agency__employees_residence',
    'stg_employment_agency__unemployed_district',
    'stg_employment_agency__unemployed_municipal',
    'stg_police__offences_district',
    'stg_register__municipalities',
    'stg_state_monitor__day_care_language',
    'stg_state_monitor__day_care_origin',
    'stg_state_monitor__employees',
    'stg_state_monitor__foreigners',
    'stg_state_monitor__foreigners_age',
    'stg_state_monitor__minimum_income',
    'stg_state_monitor__naturalisations',
    'stg_state_monitor__population',
    'stg_state_monitor__school_leavers',
    'stg_state_statistics__asylum_benefits',
    'stg_state_statistics__day_care',
    'stg_state_statistics__dwellings',
    'stg_state_statistics__migration',
    'stg_state_statistics__naturalisations',
    'stg_state_statistics__population',
    'stg_state_statistics__population_nationality',
    'stg_state_statistics__pupils',
    'stg_state_statistics__school_leavers',
] %}
{{ union_new_deliveries(models) }}
