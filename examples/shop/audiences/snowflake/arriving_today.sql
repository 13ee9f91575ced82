-- The twin of audiences/arriving_today.sql, in Snowflake's SQL.
with phones as (
    select account,
           array_agg(object_construct('type', 'push', 'address', token, 'platform', platform))
               within group (order by token) as channels
    from devices
    group by account
)
select people.id, parcels.order_id, people.email, people.phone_number, phones.channels, people.first_name,
       people.locale, people.timezone, parcels.jars, parcels.from_hour, parcels.to_hour
from parcels
join people on people.account = parcels.account
left join phones on phones.account = parcels.account
where parcels.arrives_on = :fire_date
