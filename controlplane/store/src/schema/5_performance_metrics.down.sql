drop view performance_sessions;
drop table performance_metrics;
