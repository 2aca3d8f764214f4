{#
  How numbers on the territories of one day become numbers on those of a later one, for every municipality and county of the
  first day: number x factor, summed up by new_code. The same arithmetic as int_territory__conversion, which stands for one state.
  A unit that cannot be followed has no new_code. Backwards there is no conversion: then nothing is returned.
#}
{% macro create_territory_conversion() %}
    {% set schema = this.schema %}
    create or replace function {{ schema }}.territory_conversion(from_date date, to_date date)
    returns table (level text, old_code text, new_code text, method text, factor numeric)
    language sql stable security invoker parallel safe
    as $function$
        with recursive walk as (
            select
                t.level, t.territory_code as old_code, t.territory_code as code, from_date as day,
                0 as rank, 1::numeric as factor
            from {{ schema }}.dim_territory as t
            where
                from_date <= to_date and t.level in ('municipality', 'county') and t.is_official
                and from_date between t.valid_from and coalesce(t.valid_to, date '9999-12-31')
            union all
            select
                w.level, w.old_code, c.new_code, c.effective_date,
                greatest(w.rank, {{ method_rank('c.method') }}), w.factor * c.factor
            from walk as w
            inner join {{ schema }}.dim_territory_change as c
                on
                    c.level = w.level and c.old_code = w.code and c.factor is distinct from 0
                    and c.effective_date = (
                        select min(n.effective_date) from {{ schema }}.dim_territory_change as n
                        where
                            n.level = w.level and n.old_code = w.code
                            and n.effective_date > w.day and n.effective_date <= to_date
                    )
        )
        select
            w.level, w.old_code, case when w.factor is not null then w.code end,
            case when max(w.rank) = 0 then 'unchanged' else {{ method_at('max(w.rank)') }} end, trim_scale(sum(w.factor))
        from walk as w
        where
            not exists (
                select 1 from {{ schema }}.dim_territory_change as n
                where
                    n.level = w.level and n.old_code = w.code
                    and n.effective_date > w.day and n.effective_date <= to_date
            )
        group by w.level, w.old_code, case when w.factor is not null then w.code end
    $function$;
    comment on function {{ schema }}.territory_conversion(date, date) is
        'How numbers of the territories of one day are converted to those of a later day, per municipality and county. | Wie Zahlen vom Gebietsstand eines Tages auf den eines späteren umgerechnet werden, je Gemeinde und Kreis.'
{% endmacro %}
