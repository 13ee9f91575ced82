-- The twin of audiences/welcome_back.sql, in Snowflake's SQL.
with history as (
    select account, count(*) as orders, max(ordered_at) as last_ordered_at from orders group by account
),
speakers as (
    select distinct account, currency,
           case when left(locale, 2) in ('fr', 'de') then left(locale, 2) else 'en' end as language
    from people
),
bought as (
    select orders.account, i.product_id, sum(i.quantity) as quantity
    from order_items as i
    join orders on orders.id = i.order_id
    group by orders.account, i.product_id
    qualify row_number() over (partition by orders.account order by sum(i.quantity) desc, i.product_id) <= 3
),
favourites as (
    select bought.account,
           array_agg(object_construct('number', p.id, 'name', w.name, 'note', w.note, 'price', prices.price,
                                      'paper', p.paper, 'ink', p.ink))
               within group (order by bought.quantity desc, p.id) as products
    from bought
    join speakers using (account)
    join products as p on p.id = bought.product_id
    join product_words as w on w.product_id = p.id and w.language = speakers.language
    join prices on prices.product_id = p.id and prices.currency = speakers.currency
    group by bought.account
),
viewed as (
    select events.account, max_by(w.name, events.happened_at) as product
    from events
    join speakers using (account)
    join product_words as w on w.product_id = events.product_id and w.language = speakers.language
    where events.happened_at < :fire_time
    group by events.account
)
select people.id, people.email, people.first_name, people.locale, people.currency, people.timezone,
       history.orders, history.last_ordered_at, viewed.product as last_viewed, favourites.products as favourites
from people
join history using (account)
join favourites using (account)
left join viewed using (account)
where cast(history.last_ordered_at as date) between :fire_date - :longest and :fire_date - :shortest
