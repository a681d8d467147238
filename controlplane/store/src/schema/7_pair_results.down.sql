drop table pair_results;
