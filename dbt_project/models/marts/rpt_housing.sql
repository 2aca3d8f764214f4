{{ config(materialized='view', post_hook="{{ describe_wide_indicators('housing') }}") }}
{{ wide_indicators('housing') }}
