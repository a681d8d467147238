#!/usr/bin/env python3
"""Drives the simulator with ccxt, a client we did not write: URLs and the test CA are all that is changed.

    check.py --ready READY.json [--venue NAME]

READY.json is the simulator's ready line (spinlane-sim --ready-file). Prints each step, stops at the
first that fails with a non-zero exit code.
"""

import argparse
import json
import sys
import time
import uuid

import ccxt

from venues import VENUES, client, settings


class Steps:
    def __init__(self, venue):
        self.venue = venue
        self.count = 0

    def __call__(self, name, value, ok):
        self.count += 1
        print(f"{self.venue} {self.count:2} {'ok  ' if ok else 'FAIL'} {name}: {value}", flush=True)
        if not ok:
            sys.exit(1)


def wait_for(what, wanted, timeout=5.0):
    """Asks until the answer is the wanted one: venues report fills a moment after the order."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if wanted(value) or time.monotonic() > end:
            return value
        time.sleep(0.05)


def check(venue, port, ca):
    step = Steps(venue)
    known = settings(venue)
    SYMBOL = known["symbol"]
    base, quote = SYMBOL.split(":")[0].split("/")
    exchange = client(venue, port, ca)

    markets = exchange.load_markets()
    market = markets[SYMBOL]
    step("load_markets", sorted(markets), market["spot"] and market["active"])
    step("precision", market["precision"], market["precision"]["price"] > 0)

    server = exchange.fetch_time()
    step("fetch_time", server, abs(server - time.time() * 1000) < 5000)

    book = exchange.fetch_order_book(SYMBOL, 20)
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    prices = [level[0] for level in book["bids"]]
    sorted_bids = prices == sorted(prices, reverse=True)
    step("fetch_order_book", (bid, ask, len(prices)), bid < ask and sorted_bids and len(prices) > 5)

    ticker = exchange.fetch_ticker(SYMBOL)
    step("fetch_ticker", (ticker["bid"], ticker["last"], ticker["ask"]), ticker["bid"] < ticker["ask"])

    before = exchange.fetch_balance()
    free = before[quote]["free"]
    step("fetch_balance", {quote: free, base: before[base]["free"]}, free > 1000)

    # A limit order far below the market rests.
    amount = float(exchange.amount_to_precision(SYMBOL, 0.001))
    low = float(exchange.price_to_precision(SYMBOL, bid * 0.9))
    order = exchange.create_order(SYMBOL, "limit", "buy", amount, low)
    step("create_order limit", order["id"], order["id"] is not None)
    resting = wait_for(lambda: exchange.fetch_order(order["id"], SYMBOL), lambda o: o["status"])
    step(
        "fetch_order",
        (resting["status"], resting["price"], resting["amount"]),
        resting["status"] == "open" and resting["price"] == low and resting["amount"] == amount,
    )
    held = exchange.fetch_balance()
    locked = held[quote]["used"]
    step("balance is held", locked, abs(locked - low * amount) < 1e-6)

    named = str(uuid.uuid4()) if known["uuid"] else "ccxt" + str(int(time.time() * 1000))
    post = exchange.create_order(
        SYMBOL, "limit", "sell", amount, float(exchange.price_to_precision(SYMBOL, ask * 1.1)),
        {"postOnly": True, "clientOrderId": named},
    )
    open_orders = exchange.fetch_open_orders(SYMBOL)
    ids = {o["id"] for o in open_orders}
    step("fetch_open_orders", sorted(ids), ids == {order["id"], post["id"]})
    mine = next(o for o in open_orders if o["id"] == post["id"])
    step("client order id", mine["clientOrderId"], mine["clientOrderId"] == named)
    step("post-only rests", mine["postOnly"], mine["postOnly"] is True)

    crossing = float(exchange.price_to_precision(SYMBOL, ask * 1.05))
    if known["crossing"] == "refused":
        try:
            exchange.create_order(SYMBOL, "limit", "buy", amount, crossing, {"postOnly": True})
            step("post-only that crosses", "accepted", False)
        except ccxt.OrderImmediatelyFillable as error:
            step("post-only that crosses", error, True)
    else:
        seen = exchange.create_order(SYMBOL, "limit", "buy", amount, crossing, {"postOnly": True})
        if known["crossing"] == "canceled":
            seen = exchange.fetch_order(seen["id"], SYMBOL)
        step("post-only that crosses", seen["status"], seen["status"] == known["crossing"])

    for each in (order, post):
        exchange.cancel_order(each["id"], SYMBOL)
    gone = exchange.fetch_order(order["id"], SYMBOL)
    step("cancel_order", gone["status"], gone["status"] == "canceled")
    step("no open orders", 0, exchange.fetch_open_orders(SYMBOL) == [])
    step("nothing is held", 0, exchange.fetch_balance()[quote]["used"] == 0)
    try:
        exchange.cancel_order(order["id"], SYMBOL)
        step("cancel again", "accepted", False)
    except ccxt.OrderNotFound as error:
        step("cancel again", error, True)

    # A market order takes and is filled.
    sold = exchange.create_order(SYMBOL, "market", "sell", amount)
    filled = wait_for(
        lambda: exchange.fetch_order(sold["id"], SYMBOL), lambda o: o["status"] == "closed"
    )
    step(
        "create_order market",
        (filled["status"], filled["filled"], filled["average"]),
        filled["status"] == "closed" and filled["filled"] == amount,
    )
    trades = exchange.fetch_my_trades(SYMBOL)
    own = [t for t in trades if t["order"] == sold["id"]]
    total = sum(t["amount"] for t in own)
    step("fetch_my_trades", (len(own), total), abs(total - amount) < 1e-12)
    fees = sum(t["fee"]["cost"] for t in own)
    step("fee is charged in quote", fees, fees > 0 and own[0]["fee"]["currency"] == known["fee"])
    after = exchange.fetch_balance()
    earned = after[quote]["free"] - before[quote]["free"]
    proceeds = sum(t["cost"] for t in own) - fees
    step("balance adds up", (earned, proceeds), abs(earned - proceeds) < 1e-5)

    wrong = client(venue, port, ca, secret="not the secret")
    if known["needs_markets"]:
        wrong.load_markets()
    try:
        wrong.fetch_balance()
        step("a wrong signature", "accepted", False)
    except getattr(ccxt, known.get("forged", "AuthenticationError")) as error:
        step("a wrong signature", error, True)
    return step.count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready", required=True)
    parser.add_argument("--venue", action="append", choices=sorted(VENUES))
    args = parser.parse_args()
    with open(args.ready, encoding="utf-8") as file:
        ready = json.load(file)
    print(f"ccxt {ccxt.__version__}")
    for venue in args.venue or sorted(ready["venues"]):
        count = check(venue, ready["venues"][venue]["port"], ready["ca"])
        print(f"{venue}: {count} checks passed")


if __name__ == "__main__":
    main()
