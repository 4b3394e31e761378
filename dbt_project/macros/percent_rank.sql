{# Share of the other ranked rows of a course with a smaller value, six decimals, ties share; 0 where only one is ranked. #}
{% macro percent_rank(value) -%}
    coalesce(
        {{ ratio(
            'rank() over (partition by organization_id, course_id order by ' ~ value ~ ') - 1',
            'count(*) over (partition by organization_id, course_id) - 1'
        ) }},
        0
    )
{%- endmacro %}
