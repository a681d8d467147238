drop table position_funding;
drop table funding;
