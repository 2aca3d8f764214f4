{{ config(materialized='view', post_hook="{{ describe_wide_indicators('sociocultural') }}") }}
{{ wide_indicators('sociocultural') }}
