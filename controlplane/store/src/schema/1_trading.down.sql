drop table drain_cursor, strategy_signals, risk_events, position_history, positions, fills, order_events,
  orders, epochs, node;
