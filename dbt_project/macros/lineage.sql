{#
  Where published numbers come from: per indicator value and cell of its terms a row, and below each computed cell the cells it
  is the sum of, down to the rows of delivered files. The view `lineage` is this query for today, the function `lineage_of` for
  one number at any moment.

  Nothing of this is stored: the same rules that derived a cell (int_observation__*) find its parts again, one number at a
  time and each part by a whole key. A test holds that the parts add up to their cell.
#}
{% macro lineage_query(moment) %}
{% set found = [
    'territorial_basis', 'dataset_key', 'known_from', 'known_until', 'value', 'obs_status', 'conf_status',
    'territorial_method', 'territorial_factor', 'is_derived', 'is_authoritative', 'delivery_id', 'row_number',
    'column_number', 'correction_id',
] %}
select
    definition.indicator_code,
    definition.definition_version,
    definition.is_default,
    definition.name_de as indicator_name_de,
    definition.name_en as indicator_name_en,
    unit.territory_code,
    unit.territory_name,
    period.period_code,
    population_group.nationality,
    population_group.sex,
    population_group.age_band,
    category.category_code as category,
    indicator.territorial_basis,
    indicator.value,
    indicator.numerator,
    indicator.denominator,
    indicator.obs_status,
    indicator.conf_status,
    indicator.known_from,
    indicator.known_until,
    formula.text as formula,
    term.role,
    term.term,
    term.sign,
    term.period_rule,
    cell.cell_id,
    cell.part_of,
    cell.depth,
    term.measure_code,
    measure.name_de as measure_name_de,
    measure.name_en as measure_name_en,
    cell.territory_code as cell_territory_code,
    holder.territory_name as cell_territory_name,
    chosen.cell_period_code,
    chosen.nationality as cell_nationality,
    chosen.sex as cell_sex,
    cell.age_band as cell_age_band,
    cell.category_code as cell_category,
    cell_category.category_name as cell_category_name,
    cell.territorial_basis as cell_territorial_basis,
    cell.value as cell_value,
    cell.share as cell_share,
    case
        when cell.is_derived then null
        when correction.action in ('set_value', 'drop') then correction.from_value
        else cell.value
    end as delivered_value,
    coalesce(cell.obs_status, 'M') as cell_obs_status,
    coalesce(cell.conf_status, 'F') as cell_conf_status,
    cell.territorial_method,
    cell.territorial_factor,
    cell.is_derived,
    cell.is_authoritative,
    cell.known_from as cell_known_from,
    cell.known_until as cell_known_until,
    correction.correction_id,
    correction.action as correction_action,
    correction.reason_de as correction_reason_de,
    dataset.dataset_id,
    dataset.dataset_name,
    agency.agency_name,
    dataset.office_name,
    dataset.licence,
    dataset.licence_url,
    dataset.attribution,
    delivery.delivery_id,
    delivery.file_name,
    delivery.sha256,
    cell.row_number,
    cell.column_number,
    delivery.received_at,
    delivery.is_demo,
    definition.caveat_de,
    definition.caveat_en,
    series_break.notes_de as break_notes_de,
    series_break.notes_en as break_notes_en
from {{ ref('fct_indicator_vintage') }} as indicator
inner join {{ ref('dim_indicator') }} as definition
    on indicator.indicator_key = definition.indicator_key
inner join {{ ref('dim_territory') }} as unit
    on indicator.territory_key = unit.territory_key
inner join {{ ref('dim_period') }} as period
    on indicator.period_key = period.period_key
inner join {{ ref('dim_population_group') }} as population_group
    on indicator.population_group_key = population_group.population_group_key
inner join {{ ref('dim_category') }} as category
    on indicator.category_key = category.category_key
inner join {{ ref('dim_indicator_term') }} as term
    on indicator.indicator_key = term.indicator_key
inner join {{ ref('dim_measure') }} as measure
    on term.measure_key = measure.measure_key

-- "unemployed / population (15_64) x 100"
cross join lateral (
    select
        string_agg(said.text, ' / ' order by said.role desc)
        || case when definition.multiplier <> 1 then ' x ' || trim_scale(definition.multiplier)::text else '' end as text
    from (
        select
            part.role,
            case when count(*) > 1 and definition.denominator_measure_code is not null then '(' else '' end
            || regexp_replace(
                string_agg(
                    case when part.sign < 0 then '- ' else '+ ' end || part.measure_code
                    || coalesce(
                        ' (' || nullif(
                            concat_ws(
                                ', ',
                                {% for column in ['nationality', 'sex', 'age_band', 'category'] %}
                                case when part.{{ column }} not in ('total', 'each', 'same') then part.{{ column }} end
                                {{- ',' if not loop.last }}
                                {% endfor %}
                            ), ''
                        ) || ')', ''
                    ),
                    ' ' order by part.term
                ),
                '^\+ ', ''
            )
            || case when count(*) > 1 and definition.denominator_measure_code is not null then ')' else '' end as text
        from {{ ref('dim_indicator_term') }} as part
        where part.indicator_key = definition.indicator_key
        group by part.role
    ) as said
) as formula

-- what the definition fixes of the numerator's group, the denominator follows
cross join lateral (
    select
        opening.nationality,
        opening.sex,
        opening.age_band,
        opening.category
    from {{ ref('dim_indicator_term') }} as opening
    where opening.indicator_key = definition.indicator_key and opening.role = 'numerator'
    order by opening.term
    limit 1
) as lead_term
cross join lateral (
    select
        {% for column, own in [
            ('nationality', 'population_group.nationality'),
            ('sex', 'population_group.sex'),
            ('age_band', 'population_group.age_band'),
            ('category', "coalesce(nullif(category.category_code, 'total'), definition.headline_category, 'total')"),
        ] %}
        case
            when term.{{ column }} = 'each' or (term.{{ column }} = 'same' and lead_term.{{ column }} = 'each') then {{ own }}
            when term.{{ column }} = 'same' then lead_term.{{ column }}
            else term.{{ column }}
        end as {{ column }}{{ ',' if not loop.last }}
        {% endfor %}
) as wanted

-- one cell per period the term takes: of several periods or datasets the one fct_indicator_vintage chose
cross join lateral (
    select distinct on (case when needed.has_alternatives then '' else needed.cell_period_code end)
        term.measure_key,
        needed.cell_period_code,
        needed.cell_period_key,
        cell_period.reference_date,
        cell_period.start_date,
        wanted.*,
        stated.territory_key,
        {% for column in found %}
        stated.{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('dim_indicator_period') }} as needed
    left join {{ ref('dim_period') }} as cell_period
        on needed.cell_period_key = cell_period.period_key
    left join (
        {{ ref('fct_observation_stated') }} as stated
        inner join {{ ref('dim_territory') }} as place
            on stated.territory_key = place.territory_key
        inner join {{ ref('dim_dataset') }} as source
            on stated.dataset_key = source.dataset_key
    )
        on
            stated.measure_key = term.measure_key
            and stated.period_key = needed.cell_period_key
            and place.territory_code = unit.territory_code
            and stated.population_group_key
            = {{ surrogate_key(['wanted.nationality', 'wanted.sex', 'wanted.age_band']) }}
            and stated.category_key = {{ surrogate_key(['wanted.category']) }}
            and stated.territorial_basis in ('both', indicator.territorial_basis)
            and {{ holds_at('stated', moment) }}
            and case
                when term.role = 'numerator' or term.dataset_rule = 'any' then stated.is_authoritative
                when term.dataset_rule = 'same' then source.dataset_id = indicator.numerator_dataset_id
                else true
            end
    left join {{ ref('dim_measure_source') }} as ranking
        on stated.measure_key = ranking.measure_key and stated.dataset_key = ranking.dataset_key
    where
        needed.indicator_key = indicator.indicator_key
        and needed.period_key = indicator.period_key
        and needed.role = term.role
        and needed.term = term.term
    order by
        case when needed.has_alternatives then '' else needed.cell_period_code end,
        stated.measure_key is null, needed.cell_rank, source.dataset_id = term.dataset_rule desc, stated.is_derived,
        coalesce(ranking.priority, 100), source.dataset_id
) as chosen

cross join lateral (
    with recursive cell as (
        select
            term.role || ' ' || term.term || ' ' || chosen.cell_period_code as cell_id,
            null::text as part_of,
            1 as depth,
            unit.territory_code,
            chosen.territory_key,
            chosen.age_band,
            chosen.category as category_code,
            1::numeric as share,
            {% for column in found %}
            chosen.{{ column }}{{ ',' if not loop.last }}
            {% endfor %}
        where chosen.delivery_id is not null or not term.is_optional
        union all
        select
            cell.cell_id || ' / '
            || concat_ws(
                ' ',
                case when part.territory_code <> cell.territory_code then part.territory_code end,
                case when part.age_band <> cell.age_band then part.age_band end,
                case when part.category_code <> cell.category_code then part.category_code end
            ),
            cell.cell_id,
            cell.depth + 1,
            part.*
        from cell
        cross join lateral (
            {{ lineage_parts('cell', 'chosen', moment, found) }}
        ) as part
        where cell.is_derived
    )
    select * from cell
) as cell
left join {{ ref('dim_territory') }} as holder
    on cell.territory_key = holder.territory_key
left join {{ ref('dim_category') }} as cell_category
    on cell.category_code = cell_category.category_code
left join {{ ref('dim_dataset') }} as dataset
    on cell.dataset_key = dataset.dataset_key
left join {{ ref('dim_agency') }} as agency
    on dataset.agency_key = agency.agency_key
left join {{ ref('dim_delivery') }} as delivery
    on cell.delivery_id = delivery.delivery_id
left join {{ ref('dim_correction') }} as correction
    on cell.correction_id = correction.correction_id

-- breaks the number stands behind or in
cross join lateral (
    select
        string_agg(distinct known.note_de, e'\n' order by known.note_de) as notes_de,
        string_agg(distinct known.note_en, e'\n' order by known.note_en) as notes_en
    from {{ ref('dim_series_break') }} as known
    where
        (
            known.indicator_key = indicator.indicator_key
            or known.measure_key = term.measure_key
            or (known.indicator_key is null and known.measure_key is null)
        )
        and starts_with(unit.territory_code, known.territory_prefix)
        and (
            known.recurs_on is not null
            or (
                known.from_date <= chosen.reference_date
                and (known.to_date is null or known.to_date >= chosen.start_date)
            )
        )
) as series_break
where {{ holds_at('indicator', moment) }}
{% endmacro %}

{#
  Query: the cells a computed cell is the sum of, each with its share. `whole` is what all of them have in common: measure,
  period and group; they are always of one dataset. First where they would be, then what is there.
#}
{% macro lineage_parts(cell, whole, moment, found) %}
{% set register = surrogate_key(["'register__municipalities'"]) %}
            select
                parts.territory_code,
                parts.territory_key,
                parts.age_band,
                parts.category_code,
                parts.share,
                {% for column in found %}
                {% if column == 'value' %}
                -- a number that was moved counts here and no longer under its own key
                case
                    when parts.is_moved
                        then {{ cell }}.value - coalesce(sum(parts.value) filter (where not parts.is_moved) over (), 0)
                    else parts.value
                end as value
                {%- else %}
                parts.{{ column }}
                {%- endif %}{{ ',' if not loop.last }}
                {% endfor %}
            from (
                select
                    present.*,
                    rank() over (order by present.choice) as place
                from (
                    select
                        origin.*,
                        category.category_code,
                        {% for column in found %}
                        observed.{{ column }},
                        {% endfor %}
                        count(*) over (partition by origin.choice) as part_count
                    from (
                        select
                            possible.*,
                            {{ surrogate_key([whole ~ '.nationality', whole ~ '.sex', 'possible.age_band']) }}
                                as population_group_key
                        from (
                            -- keys that were dead, or wrong
                            select
                                {{ possible_part(
                                    'place', age_band=cell ~ '.age_band', bases="array['both', 'as_delivered']",
                                    may_be_sum='false', is_former='true', is_moved='former.is_moved',
                                ) }}
                            from (
                                select
                                    successor.old_code as territory_code,
                                    false as is_moved
                                from {{ ref('dim_territory_successor') }} as successor
                                where
                                    successor.new_code = {{ cell }}.territory_code
                                    and {{ whole }}.reference_date >= successor.dead_from
                                    and {{ whole }}.reference_date >= successor.new_valid_from
                                    and {{ whole }}.reference_date <= coalesce(successor.new_valid_to, date '9999-12-31')
                                union
                                select
                                    moved.territory_code,
                                    true
                                from {{ ref('dim_correction') }} as moved
                                where
                                    moved.correction_id = {{ cell }}.correction_id
                                    and moved.to_territory_code = {{ cell }}.territory_code
                            ) as former
                            inner join {{ ref('dim_territory') }} as place
                                on former.territory_code = place.territory_code
                            where
                                {{ cell }}.territorial_basis <> 'converted'
                                and {{ cell }}.territorial_method in ('exact_sum', 'moved_key')
                            union all
                            -- age bands, of the first set that is complete
                            select
                                {{ possible_part(
                                    cell, age_band='member.member_age_band', bases='array[' ~ cell ~ '.territorial_basis]',
                                    may_be_sum='false', choice='member.variant', needed_count='member.member_count',
                                ) }}
                            from (
                                select
                                    band.*,
                                    count(*) over (partition by band.variant) as member_count
                                from {{ ref('dim_age_band_member') }} as band
                                where band.age_band = {{ cell }}.age_band
                            ) as member
                            where
                                {{ cell }}.territorial_basis <> 'converted'
                                and {{ cell }}.territorial_method in ('as_delivered', 'exact_sum', 'moved_key')
                            union all
                            -- units that became this one
                            select
                                {{ possible_part(
                                    'place', age_band=cell ~ '.age_band', bases="array['as_delivered']", share='conversion.factor',
                                ) }}
                            from {{ ref('dim_territory_conversion') }} as conversion
                            inner join {{ ref('dim_territory') }} as place
                                on {{ valid_on('place', 'conversion.old_code', whole ~ '.reference_date') }}
                            where
                                {{ cell }}.territorial_basis = 'converted'
                                and {{ cell }}.territorial_method in ('exact_sum', 'factor_population', 'factor_area')
                                and conversion.new_code = {{ cell }}.territory_code
                                and conversion.factor > 0
                                and {{ whole }}.reference_date between conversion.from_date and conversion.to_date
                            {% for level, length in [('county', 5), ('state', 2)] %}
                            union all
                            -- municipalities of the {{ level }}: those of one edition of the register, else those valid on the day
                            select
                                {{ possible_part(
                                    'place', age_band=cell ~ '.age_band',
                                    bases="array['both', case when " ~ cell ~ ".territorial_basis = 'converted'"
                                        ~ " then 'converted' else 'as_delivered' end]",
                                    edition='case when ' ~ cell ~ '.dataset_key = ' ~ register ~ ' then ' ~ cell ~ '.delivery_id end',
                                ) }}
                            from {{ ref('dim_territory') }} as place
                            where
                                {{ cell }}.territorial_method = 'sum_of_municipalities'
                                and length({{ cell }}.territory_code) = {{ length }}
                                and place.{{ level }}_code = {{ cell }}.territory_code
                                and place.level = 'municipality'
                                and (
                                    {{ cell }}.dataset_key = {{ register }}
                                    or (place.is_official and {{ cell }}.territorial_basis = 'converted')
                                    or (
                                        place.is_official
                                        and {{ valid_on('place', 'place.territory_code', whole ~ '.reference_date') }}
                                    )
                                )
                            {% endfor %}
                            union all
                            -- categories of a listing
                            select
                                {{ possible_part(
                                    cell, age_band=cell ~ '.age_band', bases='array[' ~ cell ~ '.territorial_basis]',
                                    is_category='true', excluded_category='listing.excluded_category',
                                ) }}
                            from {{ ref('dim_listing') }} as listing
                            where
                                {{ cell }}.territorial_method = 'sum_of_categories'
                                and listing.measure_key = {{ whole }}.measure_key
                                and listing.dataset_key = {{ cell }}.dataset_key
                        ) as possible
                    ) as origin
                    -- `offset 0`: each place by its key, instead of all numbers of the measure and period
                    cross join lateral (
                        select *
                        from {{ ref('fct_observation_stated') }} as stated
                        where
                            stated.territory_key = origin.territory_key
                            and stated.measure_key = {{ whole }}.measure_key
                            and stated.period_key = {{ whole }}.cell_period_key
                            and stated.population_group_key = origin.population_group_key
                            and stated.dataset_key = {{ cell }}.dataset_key
                            and {{ holds_at('stated', moment) }}
                            and stated.territorial_basis = any(origin.bases)
                            and (
                                origin.may_be_sum
                                or not stated.is_derived
                                or stated.territorial_method in ('exact_sum', 'moved_key')
                            )
                            and coalesce(origin.edition, stated.delivery_id) = stated.delivery_id
                            and case
                                when origin.is_moved then stated.correction_id = {{ cell }}.correction_id
                                when origin.is_former then not {{ says_nothing('stated') }}
                                else true
                            end
                        offset 0
                    ) as observed
                    inner join {{ ref('dim_category') }} as category
                        on
                            observed.category_key = category.category_key
                            and case
                                when origin.is_category
                                    then not category.is_total
                                        and category.category_code is distinct from origin.excluded_category
                                else category.category_code = {{ cell }}.category_code
                            end
                ) as present
                where present.needed_count is null or present.part_count = present.needed_count
            ) as parts
            where parts.place = 1
{% endmacro %}

{#
  Columns of a place where a part may be. `choice`: only the first that has all (`needed_count`) of its parts counts; `bases`: on
  which it may stand; `may_be_sum`: a computed number is a part too; `is_former`: booked under another key, `is_moved`: wrongly.
#}
{% macro possible_part(
    place, age_band, bases, share='1', choice='0', needed_count='null', may_be_sum='true', is_former='false', is_moved='false',
    edition='null', is_category='false', excluded_category='null'
) %}
{{ place }}.territory_code,
                                {{ place }}.territory_key,
                                {{ age_band }} as age_band,
                                {{ share }}::numeric as share,
                                {{ choice }} as choice,
                                {{ needed_count }}::bigint as needed_count,
                                {{ bases }} as bases,
                                {{ may_be_sum }} as may_be_sum,
                                {{ is_former }} as is_former,
                                {{ is_moved }} as is_moved,
                                ({{ edition }})::bigint as edition,
                                {{ is_category }} as is_category,
                                {{ excluded_category }}::text as excluded_category
{%- endmacro %}

{# Post-hook of the view: the same for one number, as it was known at a moment. Its rows are rows of the view. #}
{% macro create_lineage_of() %}
    drop function if exists {{ this.schema }}.lineage_of(text, text, text, timestamptz);
    create function {{ this.schema }}.lineage_of(
        indicator_code text, territory_code text, period_code text, as_of timestamptz default 'infinity'
    )
    returns setof {{ this }}
    language sql stable security invoker parallel safe
    as $function$
        {{ lineage_query('as_of') }}
            and definition.indicator_code = lineage_of.indicator_code
            and unit.territory_code = lineage_of.territory_code
            and period.period_code = lineage_of.period_code
    $function$;
    comment on function {{ this.schema }}.lineage_of(text, text, text, timestamptz) is
        'Rows of lineage of one indicator, territory and period, as known at the given moment. '
        '| Zeilen von lineage zu einem Indikator, Gebiet und Zeitraum mit dem Wissensstand des Zeitpunkts.'
{% endmacro %}
