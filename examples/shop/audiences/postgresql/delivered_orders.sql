-- The twin of audiences/delivered_orders.sql, in PostgreSQL's SQL.
with bought as (
    select i.order_id,
           json_agg(json_build_object('number', p.id, 'name', w.name, 'quantity', i.quantity,
                                      'paper', p.paper, 'ink', p.ink) order by p.id) as items
    from order_items as i
    join products as p on p.id = i.product_id
    join product_words as w on w.product_id = p.id and w.language = 'en'
    group by i.order_id
)
select people.id, orders.id as order_id, people.email, people.phone_number, people.first_name, people.locale,
       people.timezone, orders.currency, orders.total, orders.delivered_on, orders.packed_by, bought.items
from orders
join people on people.account = orders.account
join bought on bought.order_id = orders.id
where orders.delivered_on between :fire_date - :oldest and :fire_date - :newest
