{{ config(
    materialized='table',
    unlogged=true,
    post_hook='analyze {{ this }}',
    indexes=[{'columns': ['old_code', 'from_date']}],
) }}

-- How a number of a unit becomes one on the territories of the chosen state (`TEILHABE_TERRITORIAL_STATE`, by default the day of
-- the build): per unit and span of reference dates, the units of that state and the share each takes. Only units that are
-- others in that state; whoever has no row here is the same unit then.
-- The shape a unit has in a span ends on `ends_on`: whoever books under its key later books under a dead key.
-- Where it went in an unknown share, `may_have_reached` names who got some of it.
-- A span whose unit cannot be followed to that state has one row without new key and factor (`none`): nobody says what became of
-- it, or how it was divided, or the reference date is later than the state - territories are only converted forwards.
with recursive touches as (
    -- the days a unit became another one: `ends` when its old shape went elsewhere, `lives` when the key goes on
    select
        level,
        territory_code,
        effective_date,
        bool_or(is_end) as ends,
        bool_or(not is_end) as lives,
        lag(effective_date) over of_code as shaped_on,
        lag(effective_date, 2) over of_code is null and not lag(bool_or(is_end)) over of_code as is_born,
        lead(effective_date) over of_code as touched_after
    from (
        select
            level,
            old_code as territory_code,
            effective_date,
            true as is_end
        from {{ ref('int_territory__succession') }}
        union all
        select
            level,
            new_code,
            effective_date,
            false
        from {{ ref('int_territory__succession') }}
        where new_code is not null
        union all
        select
            level,
            territory_code,
            valid_from,
            false
        from {{ ref('int_territory__validity') }}
        where valid_from > date '1900-01-01'
    ) as known
    where level in ('municipality', 'county')
    group by level, territory_code, effective_date
    window of_code as (partition by level, territory_code order by effective_date)
),

-- A shape lasts from one touch to the next. Offices book under a key before it is born and after it is dead.
shapes as (
    select
        level,
        territory_code as old_code,
        shaped_on,
        case when shaped_on is null or is_born then date '0001-01-01' else shaped_on end as from_date,
        case when lives then effective_date else coalesce(touched_after, date '9999-12-31' + 1) end - 1 as to_date,
        effective_date
    from touches
    where ends and effective_date <= {{ territorial_state() }}
),

paths as (
    select
        level,
        old_code,
        from_date,
        to_date,
        effective_date as ends_on,
        old_code as new_code,
        effective_date as next_date,
        1 as method_rank,
        1::numeric as factor
    from shapes
    union all
    select
        paths.level,
        paths.old_code,
        paths.from_date,
        paths.to_date,
        paths.ends_on,
        link.new_code,
        onward.effective_date,
        greatest(paths.method_rank, {{ method_rank('link.method') }}),
        paths.factor * link.factor
    from paths
    inner join {{ ref('int_territory__succession') }} as link
        on paths.level = link.level and paths.new_code = link.old_code and paths.next_date = link.effective_date
    left join shapes as onward
        on
            link.level = onward.level
            and link.new_code = onward.old_code
            and link.effective_date = onward.shaped_on
    where link.factor is distinct from 0
),

arrived as (
    select
        level,
        old_code,
        from_date,
        to_date,
        ends_on,
        case when factor is not null then new_code end as new_code,
        {{ method_at('max(method_rank)') }} as method,
        sum(factor) as factor,
        string_agg(distinct new_code, ',' order by new_code) filter (where factor is null) as may_have_reached
    from paths
    where next_date is null
    group by level, old_code, from_date, to_date, ends_on, case when factor is not null then new_code end
),

-- Units that took another shape, or came to life, after the state.
later as (
    select
        touches.level,
        touches.territory_code as old_code,
        case
            when min(validity.first_day) > {{ territorial_state() }} then date '0001-01-01'
            else min(touches.effective_date)
        end as from_date
    from touches
    inner join (
        select
            territory_code,
            min(valid_from) as first_day
        from {{ ref('int_territory__validity') }}
        group by territory_code
    ) as validity
        on touches.territory_code = validity.territory_code
    where touches.lives and touches.effective_date > {{ territorial_state() }}
    group by touches.level, touches.territory_code
)

select
    arrived.level,
    arrived.old_code,
    arrived.from_date,
    arrived.to_date,
    arrived.ends_on,
    arrived.new_code,
    arrived.method,
    trim_scale(arrived.factor) as factor,
    arrived.may_have_reached
from arrived
union all
select
    later.level,
    later.old_code,
    later.from_date,
    date '9999-12-31',
    null,
    null,
    'none',
    null,
    null
from later
