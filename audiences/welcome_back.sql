-- Customers whose last order is four months to thirteen months old, with the three things that they bought most.
with history as (
    select account, count(*) as orders, max(ordered_at) as last_ordered_at
    from orders
    group by account
),

bought as (
    select orders.account, i.product_id, sum(i.quantity) as quantity
    from order_items as i
    join orders on orders.id = i.order_id
    group by orders.account, i.product_id
    qualify row_number() over (partition by orders.account order by sum(i.quantity) desc, i.product_id) <= 3
),

viewed as (
    select account, arg_max(product_id, happened_at) as product_id
    from events
    where happened_at < :fire_time
    group by account
),

spoken as (
    select *, case when left(locale, 2) in ('fr', 'de') then left(locale, 2) else 'en' end as language
    from people
)

select
    spoken.id,
    spoken.email,
    spoken.first_name,
    spoken.locale,
    spoken.currency,
    spoken.timezone,
    history.orders,
    history.last_ordered_at,
    any_value(seen.name) as last_viewed,
    list(
        {
            'number': p.id, 'name': w.name, 'note': w.note, 'paper': p.paper, 'ink': p.ink,
            'price': prices.price
        } order by bought.quantity desc, p.id
    ) as favourites
from spoken
join history on history.account = spoken.account
join bought on bought.account = spoken.account
join products as p on p.id = bought.product_id
join product_words as w on w.product_id = p.id and w.language = spoken.language
join prices on prices.product_id = p.id and prices.currency = spoken.currency
left join viewed on viewed.account = spoken.account
left join product_words as seen on seen.product_id = viewed.product_id and seen.language = spoken.language
where
    cast(history.last_ordered_at as date) between :fire_date - :longest and :fire_date - :shortest
group by all
