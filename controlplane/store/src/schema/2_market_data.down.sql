-- The extension stays: others may use it.
drop table market_data_ticks;
