-- The twin of audiences/arriving_today.sql, in PostgreSQL's SQL.
with phones as (
    select account, json_agg(json_build_object('type', 'push', 'address', token, 'platform', platform)
                             order by token) as channels
    from devices group by account
)
select people.id, parcels.order_id, people.email, people.phone_number, phones.channels, people.first_name,
       people.locale, people.timezone, parcels.jars, parcels.from_hour, parcels.to_hour
from parcels
join people on people.account = parcels.account
left join phones on phones.account = parcels.account
where parcels.arrives_on = :fire_date
